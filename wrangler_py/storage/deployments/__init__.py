"""What is deployed on a `pywrangler serve`: versions of scripts, which of them is active, and who may speak to it."""

from __future__ import annotations

from wrangler_py.storage.deployments.registry import CONFIG_FILE, Deployment, Deployments, Version
from wrangler_py.storage.deployments.tokens import Token, Tokens

__all__ = ["CONFIG_FILE", "Deployment", "Deployments", "Token", "Tokens", "Version"]
