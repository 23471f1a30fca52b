"""`pywrangler kv ...`."""
