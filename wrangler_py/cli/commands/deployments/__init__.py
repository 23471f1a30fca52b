"""`pywrangler deployments ...`."""
