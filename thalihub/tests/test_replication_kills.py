"""A worker that is killed at any kind of request leaves nothing that cannot be gone on from.

Between two real hubs stands an HTTP server that sees the requests: at the first of each kind it
kills the process that replicates, once before the request has reached the other hub, and once
after, when the answer is on its way.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from thalihub.tests.faultrunner import PAGE
from thalihub.tests.hubprocess import SOURCE, HubProcess

pytestmark = [pytest.mark.slow, pytest.mark.long]

DOCUMENTS = 10
KINDS = {
    "pull": {"exists", "_local", "_changes", "_bulk_get", "attachments", "commit", "checkpoint"},
    "push": {"exists", "_local", "_revs_diff", "_bulk_docs", "attachments", "commit", "checkpoint"},
}
MOMENTS = ("before", "after")


class Watcher:
    """Hands requests on to a hub, and kills who sends them."""

    def __init__(self, hub: HubProcess) -> None:
        self.there = hub.client(hub.owner)
        self.victim = 0
        self.met: set[tuple[str, str]] = set()
        self.documents = 0

    def kills(self, kind: str, moment: str) -> bool:
        """Kill at the first request of a kind, at both moments; tell whether that was now."""
        if (kind, moment) in self.met or not self.victim:
            return False
        self.met.add((kind, moment))
        os.kill(self.victim, signal.SIGKILL)
        self.victim = 0
        return True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, watcher: Watcher, *given: Any) -> None:
        self._watcher = watcher
        super().__init__(*given)

    def _handle(self) -> None:
        body = self._body()
        kind = kind_of(self.command, self.path)
        if self._watcher.kills(kind, "before"):
            self.close_connection = True
            return
        if kind == "_bulk_docs":
            self._watcher.documents += len(json.loads(body)["docs"])
        kept = {"content-type", "accept"}
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        answer = self._watcher.there.request(self.command, self.path, content=body, headers=headers)
        if self._watcher.kills(kind, "after"):
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers.get("content-type", ""))
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - names of the library

    def _body(self) -> bytes:
        if length := self.headers.get("content-length"):
            return self.rfile.read(int(length))
        pieces = []
        while self.headers.get("transfer-encoding") and (
            size := int(self.rfile.readline().split(b";")[0], 16)
        ):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, *_: Any) -> None:
        pass


def kind_of(method: str, path: str) -> str:
    """Name what a request is for."""
    last = path.partition("?")[0].split("/")[2:]
    if not last:
        return "exists"
    if last[0] == "_local":
        return "checkpoint" if method == "PUT" else "_local"
    if last[0] == "_ensure_full_commit":
        return "commit"
    return last[0] if last[0].startswith("_") else "attachments"


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """The hub on whose tables the worker works."""
    with HubProcess(tmp_path_factory.mktemp("bob")) as hub:
        yield hub


@pytest.fixture
def watcher(hub: HubProcess) -> Iterator[tuple[Watcher, str]]:
    """The server, and its address."""
    watcher = Watcher(hub)
    handler = functools.partial(_Handler, watcher)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    yield watcher, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    watcher.there.close()


@contextmanager
def runner(hub: HubProcess) -> Iterator[subprocess.Popen[str]]:
    """Start the process whose forks replicate."""
    process = subprocess.Popen(
        [sys.executable, "-m", "thalihub.tests.faultrunner"],
        cwd=SOURCE,
        env=hub.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def attempt(process: subprocess.Popen[str], watcher: Watcher, line: str) -> int:
    """Let a worker work until it has ended or was killed; return its exit code."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    watcher.victim = int(process.stdout.readline().split()[1])
    return int(process.stdout.readline().split()[1])


def fill(owner: httpx.Client, db_name: str) -> None:
    assert owner.put(f"/{db_name}").status_code == 201
    docs = [{"_id": f"d{n:02}", "text": "x" * 90 * n} for n in range(DOCUMENTS)]
    assert owner.post(f"/{db_name}/_bulk_docs", json={"docs": docs}).status_code == 201
    for n in range(2):
        made = owner.put(f"/{db_name}/a{n}/file", content=bytes([n]) * 90_000)
        assert made.status_code == 201


def everything(owner: httpx.Client, db_name: str) -> tuple[Any, ...]:
    rows = owner.get(f"/{db_name}/_all_docs", params={"include_docs": "true"}).json()["rows"]
    contents = [owner.get(f"/{db_name}/a{n}/file").content for n in range(2)]
    return {row["id"]: row["doc"] for row in rows}, contents


@pytest.mark.parametrize("way", ["pull", "push"])
def test_a_worker_killed_at_any_request_is_taken_over_from(
    hub: HubProcess, bob: HubProcess, watcher: tuple[Watcher, str], way: str, tmp_path: Path
) -> None:
    watched, url = watcher
    db_name = f"killed-{way}"
    source, target = (hub, bob) if way == "pull" else (bob, hub)
    with source.client(source.owner) as there, target.client(target.owner) as here:
        fill(there, db_name)
        assert here.put(f"/{db_name}").status_code == 201
        kills = 0
        with runner(bob) as process:
            while code := attempt(process, watched, f"{way} {db_name} {url}"):
                assert code == -signal.SIGKILL
                kills += 1
                assert kills <= 2 * len(KINDS[way])
        assert watched.met == {(kind, moment) for kind in KINDS[way] for moment in MOMENTS}
        assert everything(here, db_name) == everything(there, db_name)
    if way == "push":
        assert watched.documents <= DOCUMENTS + 2 * PAGE, "a batch for each kill at _bulk_docs"
