"""Where a Worker is deployed to: a `pywrangler serve`, or Cloudflare. Both have one API."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrangler_py.cli.transport import TOKEN_VARIABLE
from wrangler_py.errors import SessionError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from wrangler_py.config import Config

DEFAULT_TARGET = "http://127.0.0.1:8787"
CLOUDFLARE = "cloudflare"
CLOUDFLARE_URL = "https://api.cloudflare.com/client/v4"
TARGET_VARIABLE = "PYWRANGLER_TARGET"
#: Seconds: to connect, and for an answer, which a deploy gives after its workers have started.
CONNECT_TIMEOUT, TIMEOUT = 10.0, 180.0


class RemoteError(SessionError):
    """What the other side answered instead of a result."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass
class Remote:
    """One account at one address. ``token`` is not shown."""

    url: str
    account: str
    token: str | None = field(repr=False)
    is_cloudflare: bool = False
    address: str = ""

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Return the result of a call; ``path`` is below the account, ``json=`` or ``files=`` its body.

        Raises:
            RemoteError: it was refused.
            SessionError: nobody answered.
        """
        import httpx

        timeout = httpx.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            answer = httpx.request(
                method,
                f"{self.url}/accounts/{self.account}/{path}",
                headers=headers,
                timeout=timeout,
                trust_env=self.is_cloudflare,
                **body,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        return self._result(answer)

    def _unreachable(self, error: Exception) -> SessionError:
        hint = "Look at your connection."
        if not self.is_cloudflare:
            hint = (
                f"Start it with: pywrangler serve. Or name another one: --target URL, or ${TARGET_VARIABLE}."
            )
        return SessionError(
            f"Could not reach {self.address}: {str(error) or type(error).__name__}", hint=hint
        )

    def _result(self, answer: httpx.Response) -> Any:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or "success" not in body:
            raise RemoteError(
                answer.status_code,
                f"{self.address} answered {answer.status_code}, and not as this API does.",
                hint="Is it the address of a `pywrangler serve`?",
            )
        if body["success"]:
            return body["result"]
        raise self._refused(answer.status_code, body.get("errors") or [])

    def _refused(self, status: int, errors: list[Mapping[str, Any]]) -> RemoteError:
        message = "\n".join(str(one.get("message")) for one in errors) or f"Refused ({status})."
        return RemoteError(status, message, hint=self._token_hint() if status in {401, 403} else None)

    def _token_hint(self) -> str:
        if self.is_cloudflare:
            return "CLOUDFLARE_API_TOKEN has to hold a token that may edit Workers."
        return f"Make one where it runs: pywrangler tokens create NAME. Then set {TOKEN_VARIABLE}, or pass --token."


def open_remote(config: Config, target: str | None, token: str | None) -> Remote:
    """Return what ``target`` names: ``cloudflare``, a URL, or nothing for the default.

    Raises:
        UserError: something is missing to reach it.
    """
    chosen = target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET
    if chosen == CLOUDFLARE:
        return _cloudflare(config, token)
    if not chosen.startswith(("http://", "https://")):
        raise UserError(
            f"'{chosen}' is not a target.",
            hint=f"A target is '{CLOUDFLARE}', or the address of a `pywrangler serve`, as in {DEFAULT_TARGET}.",
        )
    address = chosen.rstrip("/")
    return Remote(
        f"{address}/client/v4", "local", token or os.environ.get(TOKEN_VARIABLE) or None, address=address
    )


def _cloudflare(config: Config, token: str | None) -> Remote:
    token = token or os.environ.get("CLOUDFLARE_API_TOKEN")
    account = os.environ.get("CLOUDFLARE_ACCOUNT_ID") or config.raw.get("account_id")
    missing = [
        name
        for name, value in (("CLOUDFLARE_API_TOKEN", token), ("CLOUDFLARE_ACCOUNT_ID", account))
        if not value
    ]
    if missing:
        raise UserError(
            f"To deploy to Cloudflare, {' and '.join(missing)} must be set.",
            hint="Make a token from the template 'Edit Cloudflare Workers'; account_id may stand in the configuration.",
        )
    url = (os.environ.get("CLOUDFLARE_API_BASE_URL") or CLOUDFLARE_URL).rstrip("/")
    return Remote(url, str(account), token, is_cloudflare=True, address="Cloudflare")
