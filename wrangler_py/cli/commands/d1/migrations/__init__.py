"""`pywrangler d1 migrations ...`."""
