"""User code in, running worker out."""
