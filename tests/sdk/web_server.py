"""A small HTTP server on the loopback interface, in threads, for what `fetch` does on a real wire."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class WebServer:
    """`url` is where it listens. `release` lets the second chunk of ``/slow`` go; `closed` counts ended connections."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.closed = threading.Semaphore(0)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.web = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def finish(self) -> None:
        super().finish()
        self._web.closed.release()

    @property
    def _web(self) -> WebServer:
        return self.server.web  # type: ignore[attr-defined]

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        pages = {
            "/echo": self._echo,
            "/redirect": self._redirect,
            "/loop": self._loop,
            "/slow": self._slow,
            "/gzip": self._gzip,
            "/broken": self._broken,
            "/cookies": self._cookies,
            "/empty": lambda: self._answer(204, b"", length=False),
        }
        pages.get(path, lambda: self._answer(404, b"no such page"))()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PROPFIND = _serve

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _echo(self) -> None:
        seen: dict[str, Any] = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": self._body().decode("latin-1"),
        }
        self._answer(200, json.dumps(seen).encode(), ("content-type", "application/json"))

    def _redirect(self) -> None:
        self._body()
        status = int(parse_qs(urlsplit(self.path).query).get("status", ["302"])[0])
        self._answer(status, b"elsewhere", ("location", "/echo?moved"))

    def _loop(self) -> None:
        self._answer(302, b"", ("location", "/loop"))

    def _cookies(self) -> None:
        self._answer(
            200,
            b"",
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=2, still b"),
            ("vary", "x"),
            ("vary", "y"),
        )

    def _gzip(self) -> None:
        self._answer(200, gzip.compress(b"unpacked"), ("content-encoding", "gzip"))

    def _broken(self) -> None:
        self._answer(200, b"short", ("content-length", "1000"), length=False)
        self.close_connection = True

    def _slow(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self._web.release.wait(20)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str], length: bool = True) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if length:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
