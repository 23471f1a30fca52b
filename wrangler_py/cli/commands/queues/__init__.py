"""`pywrangler queues ...`."""
