"""An HTTP server before a hub that holds those who fetch documents, until it is opened.

So a test decides how long a replication takes, and sees who else does the same meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections import Counter
from typing import Any

from thalihub.tests.hubprocess import HubProcess

_KEPT = ("content-type", "accept")


class Gate:
    """Stands before `hub`, and asks it as its owner; use it as a context manager."""

    def __init__(self, hub: HubProcess) -> None:
        self._hub = hub
        self.open = threading.Event()
        self.open.set()
        self.came = Counter[str]()
        """How often documents of a database were asked for."""

    def __enter__(self) -> Gate:
        self.client = self._hub.client(self._hub.owner)
        handler = functools.partial(_Handler, self)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self.client.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, gate: Gate, *given: Any) -> None:
        self._gate = gate
        super().__init__(*given)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        path = self.path.partition("?")[0]
        headers = {name: self.headers[name] for name in _KEPT if name in self.headers}
        answer = self._gate.client.request(self.command, self.path, content=body, headers=headers)
        if path.endswith("/_bulk_get"):  # It has its answer, whatever becomes of the hub now.
            self._gate.came[path.split("/")[1]] += 1
            self._gate.open.wait()
        with contextlib.suppress(OSError):  # Who asked may have been killed.
            self._answer(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - names of the library

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass
