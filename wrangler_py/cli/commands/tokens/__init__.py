"""`pywrangler tokens ...`."""
