"""Who a message is from and to, in the forms Cloudflare takes: text, ``Name <address>``, ``{"email", "name"}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.headerregistry import Address as HeaderAddress
from email.utils import formataddr
from typing import Any, NamedTuple

from wrangler_py.bindings.email.refusals import invalid, one_line

_ADDRESS = re.compile(r'[^\s@<>(),;:\\"\[\]]+@[^\s@<>(),;:\\"]+')
_NAMED = re.compile(r'\s*"?(?P<name>[^<>"]*?)"?\s*<(?P<email>[^<>]*)>\s*')


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
    text = one_line(value, f"'{field}'")
    named = _NAMED.fullmatch(text)
    return _checked(Address(named["email"].strip(), named["name"]) if named else Address(text.strip()), field)


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
