"""`pywrangler versions ...`."""
