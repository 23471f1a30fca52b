"""``onlyIf``: conditions on the object that a key has (R2 docs, "Conditional operations"; RFC 9110, section 13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from wrangler_py.bindings.r2.metadata import read_http_date
from wrangler_py.bindings.r2.options import read_instant, read_options
from wrangler_py.bindings.r2.refusals import wrong_type
from wrangler_py.sdk.web.headers import Headers

if TYPE_CHECKING:
    from wrangler_py.storage.r2 import StoredObject

_OPTIONS = ("etagMatches", "etagDoesNotMatch", "uploadedBefore", "uploadedAfter", "secondsGranularity")
_HEADERS = {
    "etagMatches": "if-match",
    "etagDoesNotMatch": "if-none-match",
    "uploadedBefore": "if-unmodified-since",
    "uploadedAfter": "if-modified-since",
}
_ANY = "*"
_ETAG = re.compile(r'\s*(?:(\*)|(W/)?"([^"]*)")\s*')


class Etag(NamedTuple):
    """One that is asked for; ``*`` is any."""

    value: str
    is_weak: bool = False


class Condition(NamedTuple):
    """All that is given must hold. Instants are milliseconds since 1970."""

    matches: tuple[Etag, ...] | None = None
    differs: tuple[Etag, ...] | None = None
    before: int | None = None
    after: int | None = None
    #: Compare whole seconds only, as HTTP's dates have no more.
    in_seconds: bool = False

    def allows(self, stored: StoredObject | None) -> bool:
        """Return True if the object that is there now, or that there is none, fulfils the condition."""
        if stored is None:
            return self.matches is None and self.after is None
        matches = self.matches is None or _names(self.matches, stored.etag, weakly=False)
        differs = self.differs is None or not _names(self.differs, stored.etag, weakly=True)
        return matches and differs and self._is_timely(stored.uploaded_at, matches=matches, differs=differs)

    def _is_timely(self, uploaded_at: int, *, matches: bool, differs: bool) -> bool:
        """A date counts only where there is no etag to decide."""
        uploaded = self._rounded(uploaded_at)
        soon = self.before is None or uploaded < self._rounded(self.before)
        late = self.after is None or uploaded > self._rounded(self.after)
        soon_enough = soon or (self.matches is not None and matches)
        late_enough = late or (self.differs is not None and differs)
        return soon_enough and late_enough

    def _rounded(self, instant: int) -> int:
        return instant // 1000 if self.in_seconds else instant


def _names(etags: tuple[Etag, ...], etag: str, *, weakly: bool) -> bool:
    return any(one.value == _ANY or (one.value == etag and (weakly or not one.is_weak)) for one in etags)


def read_condition(method: str, given: Any) -> Condition:
    """Return the condition of ``onlyIf``: a mapping, or `Headers` with ``If-...``."""
    if given is None:
        return Condition()
    if isinstance(given, Headers):
        return _read_headers(given)
    options = read_options(f"{method}: onlyIf", given, {}, _OPTIONS)
    return Condition(
        _one(options.get("etagMatches")),
        _one(options.get("etagDoesNotMatch")),
        _instant(options, "uploadedBefore"),
        _instant(options, "uploadedAfter"),
        bool(options.get("secondsGranularity")),
    )


def _instant(options: dict[str, Any], name: str) -> int | None:
    return read_instant(name, options[name]) if name in options else None


def _one(etag: Any) -> tuple[Etag, ...] | None:
    if etag is None:
        return None
    if not isinstance(etag, str):
        raise wrong_type(f"Conditional ETag should be text, not {type(etag).__name__}")
    if len(etag) > 1 and etag.startswith('"') and etag.endswith('"'):
        raise wrong_type(f"Conditional ETag should not be wrapped in quotes ({etag}).")
    return (Etag(etag),)


def _read_headers(headers: Headers) -> Condition:
    given = {name: headers[header] for name, header in _HEADERS.items() if header in headers}
    etags = {name: _list(text) for name, text in given.items() if name.startswith("etag")}
    dates = {
        name: read_instant(name, read_http_date(text))
        for name, text in given.items()
        if name.startswith("uploaded")
    }
    return Condition(
        etags.get("etagMatches"),
        etags.get("etagDoesNotMatch"),
        dates.get("uploadedBefore"),
        dates.get("uploadedAfter"),
        in_seconds=True,
    )


def _list(text: str) -> tuple[Etag, ...]:
    found, at = [], 0
    while at < len(text):
        match = _ETAG.match(text, at)
        if match is not None:
            found.append(Etag(match[1] or match[3], is_weak=match[2] is not None))
            at = match.end()
        if at < len(text) and text[at] != ",":
            raise wrong_type(f'{text!r} is not a list of etags, as: "abc", W/"def"')
        at += 1
    return tuple(found)
