"""`pywrangler workflows instances ...`."""
