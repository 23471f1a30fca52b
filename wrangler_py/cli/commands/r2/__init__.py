"""`pywrangler r2 ...`."""
