"""The socket a session listens on."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from wrangler_py.errors import PortInUseError, UserError
from wrangler_py.runtime.sessions import Session, session_on_port
from wrangler_py.storage.private import FILE_MODE

if TYPE_CHECKING:
    from pathlib import Path

#: Connections that may wait while one worker replaces another.
BACKLOG = 2048
ANY_ADDRESS = frozenset({"", "*"})


def bind(ip: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        PortInUseError: something else listens there.
        UserError: the address is not one of this machine, or not allowed.
    """
    host = "0.0.0.0" if ip in ANY_ADDRESS else ip  # noqa: S104 - asked for
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _listen(family, address)
    except OSError as error:
        raise _explain(error, ip, port) from error


def bind_path(path: Path) -> socket.socket:
    """Return a socket of the file system that listens, for this user only.

    Its folder must be closed to others: the mode is set after the socket is made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(FILE_MODE)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def is_open_to_others(listener: socket.socket) -> bool:
    """Return True if more than this machine can connect."""
    return not ip_address(listener.getsockname()[0]).is_loopback


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL that a browser on this machine opens."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def names_of(listener: socket.socket) -> list[str]:
    """Return the names, beside loopback's, under which others may speak to the session's own paths."""
    host = listener.getsockname()[0]
    if host in ("127.0.0.1", "::1"):
        return []
    return sorted({host, socket.gethostname().lower(), _outward_address()} - {"0.0.0.0", "::"})  # noqa: S104


def _outward_address() -> str:
    """Return the address this machine has in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _explain(error: OSError, ip: str, port: int) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return _in_use(ip, port, session_on_port(port))
    if error.errno == errno.EACCES:
        return UserError(f"This user may not listen on port {port}.", hint="Take one above 1023: --port 8787")
    return UserError(
        f"Cannot listen on {ip}:{port}: {error.strerror}.",
        hint="--ip takes an address of this machine; without it the session listens on 127.0.0.1.",
    )


def _in_use(ip: str, port: int, session: Session | None) -> PortInUseError:
    other = f"Take another one: pywrangler dev --port {port + 1}"
    if session is None:
        return PortInUseError(f"Port {port} on {ip} is already in use by another program.", hint=other)
    who = f"by the pywrangler session of {session.state_dir} (process {session.pid})"
    return PortInUseError(f"Port {port} on {ip} is already in use {who}.", hint=f"Stop that one, or: {other}")
