"""A running hub is green; a worker that is killed is seen at once, by programs and on the page."""

from __future__ import annotations

import json
import signal

import pytest

from thalihub.tests.hubprocess import HubProcess, eventually

pytestmark = pytest.mark.slow


def lights(hub: HubProcess) -> dict[str, str]:
    done = hub.try_manage("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == {"green": 0, "amber": 1, "red": 2}[found["light"]]
    return {one["concern"]: one["light"] for one in found["concerns"]}


def test_a_killed_worker_is_seen_within_ten_seconds_and_comes_back(hub: HubProcess) -> None:
    eventually(lambda: lights(hub)["worker"] == "green", what="the worker runs")
    (worker,) = hub.processes("worker")
    worker.send_signal(signal.SIGKILL)
    eventually(lambda: lights(hub)["worker"] in ("red", "amber"), what="it is missed", seconds=10)
    eventually(lambda: hub.processes("worker"), what="it is started again")
    assert lights(hub)["frontend"] == "green"


def test_the_hub_that_does_not_run_is_red(hub: HubProcess) -> None:
    hub.stop()
    found = lights(hub)
    assert (found["frontend"], found["worker"], found["database"]) == ("red", "red", "green")
    assert "Start the hub" in hub.try_manage("doctor").stdout
    hub.start()
