"""Where instances live on disk."""
