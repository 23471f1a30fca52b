"""`pywrangler workflows ...`."""
