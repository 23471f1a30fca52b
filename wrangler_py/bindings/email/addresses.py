"""Who a message is from and to, in the forms Cloudflare takes: text, ``Name <address>``, ``{"email", "name"}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.headerregistry import Address as HeaderAddress
from email.utils import formataddr
from typing import Any, NamedTuple

from wrangler_py.bindings.email.refusals import invalid, one_line

_ADDRESS = re.compile(r'[^\s@<>(),;:\\"\[\]]+@[^\s@<>(),;:\\"]+')


class Address(NamedTuple):
    """An address, and the name it is shown with."""

    email: str
    name: str = ""

    @property
    def shown(self) -> str:
        """Both, as a header has them."""
        return formataddr((self.name, self.email)) if self.name.isascii() else f"{self.name} <{self.email}>"

    def for_header(self) -> HeaderAddress:
        """Return it as the standard library takes it."""
        local, _, domain = self.email.rpartition("@")
        return HeaderAddress(self.name, local, domain)


def read_address(value: Any, field: str) -> Address:
    """Return one address; raise EmailError if it is not one."""
    if isinstance(value, Mapping):
        name = one_line(value.get("name") or "", f"the name in '{field}'")
        return _checked(Address(one_line(value.get("email"), f"the email in '{field}'").strip(), name), field)
    text = one_line(value, f"'{field}'").strip()
    return _checked(_named(text) or Address(text), field)


def _named(text: str) -> Address | None:
    """Return what ``Name <address>`` says; the name may be quoted."""
    head, opening, tail = text.rpartition("<")
    name = head.strip().removeprefix('"').removesuffix('"')
    if not opening or tail[-1:] != ">" or ">" in tail[:-1] or any(mark in name for mark in '<>"'):
        return None
    return Address(tail[:-1].strip(), name)


def read_addresses(value: Any, field: str) -> tuple[Address, ...]:
    """Return the addresses of a field that takes one or several; none if it is not there."""
    if value is None:
        return ()
    many = value if isinstance(value, list | tuple) else [value]
    return tuple(read_address(one, field) for one in many)


def _checked(address: Address, field: str) -> Address:
    if not _ADDRESS.fullmatch(address.email):
        raise invalid(f"invalid email address in '{field}': {address.email!r}")
    return address
