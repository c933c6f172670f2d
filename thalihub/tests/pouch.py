"""A real PouchDB under Node.js, driven from a test (clients/pouchdb.mjs)."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from thalihub.tests.hubprocess import SOURCE, HubProcess, Person, eventually


class PouchError(Exception):
    """What PouchDB answered instead of a result."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['status']} {error['name']}: {error['message']}")
        self.status: int | None = error["status"]
        self.name: str = error["name"]
        self.message: str = error["message"]
        self.reason: str = error["reason"]


class Pouch:
    """A local database and its remote one on a hub; use it as a context manager."""

    def __init__(
        self,
        folder: Path,
        hub: HubProcess,
        database: str,
        person: Person | None,
        *,
        key: str | None = None,
    ) -> None:
        config = {
            "url": f"{hub.url}/{database}",
            "key": key or hub.status["device_key"],
            "folder": str(folder),
        }
        if person is not None:
            config |= {
                "certificate": str(person.certificate),
                "privateKey": str(person.private_key),
            }
        self._process = subprocess.Popen(
            ["node", "--no-warnings", "pouchdb.mjs", json.dumps(config)],
            cwd=SOURCE / "clients",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Pouch:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def local(self, method: str, *arguments: Any) -> Any:
        """Call a method of the local database; raises PouchError."""
        return self._call("local", method, arguments)

    def remote(self, method: str, *arguments: Any) -> Any:
        """Call a method of the hub's database, over HTTP; raises PouchError."""
        return self._call("remote", method, arguments)

    def push(self, **options: Any) -> Any:
        """Replicate to the hub once."""
        return self._call("replicate", "push", (options,))

    def pull(self, **options: Any) -> Any:
        """Replicate from the hub once."""
        return self._call("replicate", "pull", (options,))

    def start_sync(self, **options: Any) -> None:
        """Begin a live sync that tries again when the hub is away."""
        self._call("sync", "start", (options,))

    def sync_state(self) -> dict[str, Any]:
        """Return how often each event of the live sync was seen."""
        state: dict[str, Any] = self._call("sync", "state", ())
        return state

    def stop_sync(self) -> dict[str, Any]:
        """End the live sync, and return what `sync_state` does."""
        state: dict[str, Any] = self._call("sync", "stop", ())
        return state

    def has(self, document: str, **members: Any) -> bool:
        """Say whether the local winner has these members."""
        try:
            found = self.local("get", document)
        except PouchError as error:
            if error.status != 404:
                raise
            return False
        return all(found.get(name) == value for name, value in members.items())

    def awaits(self, document: str, **members: Any) -> None:
        """Return once the local winner has these members."""
        eventually(lambda: self.has(document, **members), what=f"{document} has {members}")

    def _call(self, target: str, method: str, arguments: tuple[Any, ...]) -> Any:
        command = {
            "target": target,
            "method": method,
            "arguments": [_encoded(value) for value in arguments],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "node has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise PouchError(answer["error"])
        return _decoded(answer["result"])


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return base64.b64decode(value["base64"])
    return value
