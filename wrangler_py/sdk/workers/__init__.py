"""`workers`."""
