"""`pywrangler pages`."""
