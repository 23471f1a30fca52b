"""Cloudflare Workflows for Python, on your own machine."""

__version__ = "0.2.0"
