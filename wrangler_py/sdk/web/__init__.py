"""The web's own types, on plain Python: headers, bodies, forms, requests, responses and ``fetch``."""
