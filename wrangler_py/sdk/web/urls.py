"""`URL` and `URLSearchParams`, as far as a Worker takes a URL apart and puts one together (URL Standard)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit

from wrangler_py.sdk.web.pairs import MultiMap

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_UNESCAPED = "%/:@!$&'()*+,;=~-._|?[]\\"


class URLSearchParams(MultiMap[str]):
    """The names and values of a query string, in order."""

    def __init__(self, init: str | Mapping[str, Any] | Iterable[tuple[str, Any]] = "") -> None:
        self._url: URL | None = None
        super().__init__(_query_pairs(init))

    @classmethod
    def new(cls, init: str | Mapping[str, Any] | Iterable[tuple[str, Any]] = "") -> URLSearchParams:
        """Construct, as Pyodide spells it."""
        return cls(init)

    @classmethod
    def of(cls, url: URL) -> URLSearchParams:
        """Return the parameters of ``url``; a change of them changes it."""
        params = cls(url.search)
        params._url = url
        return params

    def _value(self, value: Any) -> str:
        return str(value)

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._write_back()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._write_back()

    def append(self, name: str, value: Any) -> None:
        """Add a value."""
        super().append(name, value)
        self._write_back()

    def toString(self) -> str:
        """Return the query string, without the question mark."""
        return urlencode(self._pairs)

    def __str__(self) -> str:
        return self.toString()

    def _write_back(self) -> None:
        if self._url is not None:
            self._url.search = self.toString()


class URL:
    """An absolute URL, in its normal form.

    Raises:
        TypeError: it is not one (``Invalid URL``).
    """

    def __init__(self, url: object, base: object = None) -> None:
        text = str(url).strip()
        self._parts = _normal(text if base is None else urljoin(URL(base).href, text))

    @classmethod
    def new(cls, url: object, base: object = None) -> URL:
        """Construct, as Pyodide spells it."""
        return cls(url, base)

    @staticmethod
    def canParse(url: object, base: object = None) -> bool:
        """True if ``url`` is an absolute URL, or one relative to ``base``."""
        try:
            URL(url, base)
        except TypeError:
            return False
        return True

    @property
    def href(self) -> str:
        """The whole URL."""
        return self._parts.geturl()

    @property
    def protocol(self) -> str:
        """The scheme and a colon: ``https:``."""
        return f"{self._parts.scheme}:"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self._parts.scheme}://{self.host}"

    @property
    def host(self) -> str:
        """Host name, and the port if it is not the scheme's own."""
        return self._parts.netloc.rpartition("@")[2]

    @property
    def hostname(self) -> str:
        """Host name."""
        return self.host.removesuffix(f":{self.port}") if self.port else self.host

    @property
    def port(self) -> str:
        """The port as text; empty if it is the scheme's own."""
        return str(self._parts.port or "")

    @property
    def username(self) -> str:
        """The user name, or an empty text."""
        return self._parts.username or ""

    @property
    def password(self) -> str:
        """The password, or an empty text."""
        return self._parts.password or ""

    @property
    def pathname(self) -> str:
        """The path, from its slash on."""
        return self._parts.path

    @pathname.setter
    def pathname(self, value: str) -> None:
        self._parts = _normal(self._parts._replace(path="/" + value.removeprefix("/")).geturl())

    @property
    def search(self) -> str:
        """The query with its question mark, or an empty text."""
        return f"?{self._parts.query}" if self._parts.query else ""

    @search.setter
    def search(self, value: str) -> None:
        self._parts = self._parts._replace(query=quote(value.removeprefix("?"), safe=_UNESCAPED))

    @property
    def hash(self) -> str:
        """The fragment with its number sign, or an empty text."""
        return f"#{self._parts.fragment}" if self._parts.fragment else ""

    @hash.setter
    def hash(self, value: str) -> None:
        self._parts = self._parts._replace(fragment=quote(value.removeprefix("#"), safe=_UNESCAPED))

    @property
    def searchParams(self) -> URLSearchParams:
        """The query's names and values; changing them changes the URL."""
        return URLSearchParams.of(self)

    def toString(self) -> str:
        """Return the whole URL."""
        return self.href

    def toJSON(self) -> str:
        """Return the whole URL."""
        return self.href

    def __str__(self) -> str:
        return self.href

    def __repr__(self) -> str:
        return f"URL({self.href!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URL) and self.href == other.href

    def __hash__(self) -> int:
        return hash(self.href)


def _query_pairs(init: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(init, str):
        return parse_qsl(init.removeprefix("?"), keep_blank_values=True, max_num_fields=None)
    return init.items() if isinstance(init, Mapping) else init


def _normal(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        netloc = _netloc(parts)
    except ValueError:
        raise TypeError(f"Invalid URL: {text!r}") from None
    if not parts.scheme or not netloc:
        raise TypeError(f"Invalid URL: {text!r} (it must be absolute, as in 'https://example.com/path')")
    return SplitResult(
        parts.scheme, netloc, _path(parts), *(quote(part, safe=_UNESCAPED) for part in parts[3:])
    )


def _netloc(parts: SplitResult) -> str:
    user, at, _ = parts.netloc.rpartition("@")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode() if not host.isascii() else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{user}{at}{host}{port}" if host else ""


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    if "/." in path:
        path = urlsplit(urljoin("http://host/", path)).path
    return quote(path, safe=_UNESCAPED.replace("?", ""))
