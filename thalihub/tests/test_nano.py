"""The client library nano, under Node.js, works with a hub."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess, Person

pytestmark = [pytest.mark.requires_node, pytest.mark.slow]


def _run(hub: HubProcess, person: Person, **changed: str) -> subprocess.CompletedProcess[str]:
    config = {
        "url": hub.url,
        "key": hub.status["device_key"],
        "certificate": str(person.certificate),
        "privateKey": str(person.private_key),
        "database": "nano",
    } | changed
    return subprocess.run(
        ["node", "--no-warnings", "nano.mjs", json.dumps(config)],
        cwd=SOURCE / "clients",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nano_reads_writes_and_follows_changes(hub: HubProcess) -> None:
    hub.manage("database", "create", "nano")
    done = _run(hub, hub.add_person("nora", "nano:read,write"))
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen.pop("version").startswith("3.")
    assert seen == {
        "missing": 404,
        "documents": {
            "stale": 409,
            "bulk": ["two", "three"],
            "listed": ["one", "three", "two"],
            "n": 2,
            "fetched": [2, "not_found"],
        },
        "attachment": True,
        "feed": {"changes": 4, "live": "live"},
        "destroyed": True,
    }


def test_nano_refuses_a_hub_with_another_key(hub: HubProcess) -> None:
    done = _run(hub, hub.owner, key="sha256:" + "A" * 43)
    assert done.returncode == 1
    assert "the hub's key is sha256:" in done.stderr
