"""How answers of the REST API look in a terminal, and in a pipe."""
