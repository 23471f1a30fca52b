"""A stand-in for Pyodide, for code that was written to run in it (`import pyodide`)."""

__version__ = "0.28.0"
