"""The HTTP face: worker fetch, REST v4, explorer API."""
