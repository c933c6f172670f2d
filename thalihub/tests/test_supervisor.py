"""`manage.py hub` as a process: it starts once, mends itself, and leaves nothing behind."""

import json
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def own_hub(tmp_path):
    """A hub that the test may harm."""
    hub = HubProcess(tmp_path, HUB_PROCESSES="2")
    hub.start()
    yield hub
    hub.stop()


def test_hub_json_says_where_the_hub_serves(hub):
    assert set(hub.status) == {"api_port", "pages_port", "key", "device_key", "pid", "version"}
    assert hub.status["key"].startswith("sha256:")
    assert hub.status["key"] != hub.status["device_key"]
    assert _pages_answer(hub)
    with hub.client(hub.owner) as client:  # The client takes device_key and no other.
        assert client.get("/").headers["content-type"] == "application/json"


def test_second_hub_on_the_folder_is_refused(hub):
    refused = hub.try_manage("hub")
    assert refused.returncode == 1
    assert f"process {hub.status['pid']}" in refused.stderr
    assert _pages_answer(hub)


def test_hub_says_how_to_connect(hub):
    log = hub.log.read_text()
    assert f"https://127.0.0.1:{hub.status['api_port']}/" in log
    assert hub.status["key"] in log
    assert "curl" in log
    assert str(hub.data / "owner.crt") in log


def test_nobody_else_can_read_what_the_hub_writes(hub):
    with hub.client(hub.owner) as client:
        assert client.put("/secrets").status_code == 201
    written = [path for path in hub.data.rglob("*") if path.exists()]
    assert hub.data / "hub.sqlite3" in written
    assert [path for path in written if path.lstat().st_mode & 0o077] == []


def test_clean_stop_leaves_neither_processes_nor_hub_json(own_hub):
    family = own_hub._family()
    assert own_hub.stop() == 0
    assert not (own_hub.data / "hub.json").exists()
    assert [process for process in family if process.is_running()] == []


def test_killed_web_processes_are_started_again_on_the_same_port(own_hub):
    before = own_hub.processes("web")
    assert len(before) == 2
    for process in before:
        process.kill()
    # The port stays open all the time: this waits until a new process accepts it.
    assert _pages_answer(own_hub)
    eventually(lambda: len(own_hub.processes("web")) == 2, what="both run again")
    assert not set(before) & set(own_hub.processes("web"))


def test_killed_worker_is_started_again(own_hub):
    [before] = own_hub.processes("worker")
    before.kill()
    eventually(
        lambda: [one for one in own_hub.processes("worker") if one != before],
        what="the worker runs again",
    )


def test_worker_takes_messages_from_the_data_folder(hub):
    send = "from thalihub.celery import app; app.send_task('celery.accumulate', [1], queue='now')"
    hub.manage("shell", "-c", send)
    messages = hub.data / "queue" / "messages"
    eventually(lambda: not list(messages.iterdir()), what="the worker takes the message")


def test_children_of_a_killed_hub_end_and_the_next_hub_starts(own_hub):
    main, *children = own_hub._family()
    main.kill()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert json.loads((own_hub.data / "hub.json").read_text())["pid"] == main.pid
    own_hub._process.wait()
    own_hub.start()
    assert own_hub.status["pid"] != main.pid
    assert _pages_answer(own_hub)


def test_tor_has_a_process_only_while_it_is_wanted(tmp_path):
    with HubProcess(tmp_path, HUB_TOR_PROGRAM="no-such-program") as hub:
        assert not hub.processes("tor")
        hub.manage("tor", "on")
        eventually(lambda: hub.processes("tor"), what="it is started")
        status = json.loads(hub.manage("tor", "status", "--json"))
        assert (status["wanted"], status["state"]) == (True, "missing")
        hub.manage("tor", "off")
        eventually(lambda: not hub.processes("tor"), what="it rests")
        assert hub.stop() == 0
        assert "The tor process ended" not in hub.log.read_text()


def test_json_is_printed_for_programs(tmp_path):
    hub = HubProcess(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "hub", "--json"],
        cwd=SOURCE,
        env=hub.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        shown = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert shown["api"] == f"https://127.0.0.1:{shown['api_port']}/"
    assert shown["pid"] == process.pid


def _pages_answer(hub):
    with httpx.Client(verify=hub.context(), trust_env=False, timeout=30) as client:
        return client.get(f"{hub.pages_url}/").headers["location"] == "/admin/"
