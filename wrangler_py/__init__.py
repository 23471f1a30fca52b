"""Cloudflare Workflows for Python, on your own machine."""

__version__ = "0.3.0"
