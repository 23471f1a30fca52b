"""`pywrangler d1 ...`."""
