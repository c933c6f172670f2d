"""A write in any process wakes the feeds that wait, and nothing keeps them from it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from couchapi import wakeups
from couchapi.tests.store.conftest import Shelf, new_shelf, shelf
from couchapi.wakeups.local import Mailbox

__all__ = ["new_shelf", "shelf"]

SOURCE = Path(__file__).resolve().parents[2]
SECONDS = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No socket is left over."""
    yield
    wakeups.local.close()


def run(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Run Python in another process of this hub."""
    path = connections["default"].settings_dict["NAME"]
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "thalihub.settings"}
    if connections["default"].vendor == "sqlite":
        env["DATABASE_URL"] = f"sqlite:///{path}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=SOURCE, env=env, stdout=subprocess.PIPE
    )


async def test_a_waiter_is_woken_by_its_database_only() -> None:
    with wakeups.listening("a") as a, wakeups.listening("b") as b, wakeups.listening("") as any_:
        wakeups.announce("a")

        assert await a.wait(SECONDS)
        assert await any_.wait(SECONDS)
        assert not await b.wait(0)


async def test_a_waiter_waits_anew_after_it_was_woken() -> None:
    with wakeups.listening("a") as waiter:
        wakeups.announce("a")
        assert await waiter.wait(SECONDS)
        assert not await waiter.wait(0)


async def test_a_wake_up_between_two_waits_is_kept() -> None:
    with wakeups.listening("a") as waiter:
        await asyncio.to_thread(wakeups.announce, "a")

        assert await waiter.wait(SECONDS)


async def test_who_stopped_listening_is_forgotten() -> None:
    with wakeups.listening("gone"):
        pass

    assert "gone" not in wakeups._waiters


async def test_after_a_gap_everybody_looks_again() -> None:
    with wakeups.listening("a") as a, wakeups.listening("b") as b:
        wakeups.wake_all()

        assert await a.wait(SECONDS)
        assert await b.wait(SECONDS)


_WRITE = """
import django, sys
django.setup()
from functools import partial
from acl import sql
from couchapi.store import writes
job = partial(writes.write, db_name=sys.argv[1], author=writes.OURSELVES, now_ms=1750000000000,
              writes=[writes.Write("a", None, False, b"{}")])
sql.write_sync(job)
"""


@pytest.mark.slow
async def test_a_write_in_another_process_wakes_a_feed_here(shelf: Shelf) -> None:
    with wakeups.listening(shelf.name) as waiter:
        child = run(_WRITE, shelf.name)
        assert await waiter.wait(SECONDS)
        assert [one.docid for one in shelf.changes()] == ["a"]
        assert await asyncio.to_thread(child.wait, SECONDS) == 0
        assert child.stdout is not None
        child.stdout.close()


_LISTEN = """
import asyncio, django
django.setup()
from couchapi import wakeups
async def main():
    with wakeups.listening("a") as waiter:
        print("listening", flush=True)
        print("woken" if await waiter.wait(60) else "not woken", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.slow
def test_another_process_is_woken_and_its_socket_is_removed_when_it_was_killed() -> None:
    child = run(_LISTEN)
    assert child.stdout is not None
    path = settings.HUB_DATA / "wake" / f"{child.pid}.sock"
    assert child.stdout.readline() == b"listening\n"
    wakeups.announce("a")
    assert child.stdout.readline() == b"woken\n"

    child.send_signal(signal.SIGKILL)
    child.wait(SECONDS)
    child.stdout.close()
    assert path.exists()
    wakeups.announce("a")

    assert not path.exists()


def _neighbour(folder: Path) -> socket.socket:
    """The socket of another process."""
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setblocking(False)
    here = Path.cwd()
    os.chdir(folder)
    try:
        other.bind("1.sock")
    finally:
        os.chdir(here)
    return other


@pytest.mark.parametrize("depth", [1, 6])
def test_the_data_folder_may_lie_deep(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * depth)
    folder.mkdir(parents=True)
    mailbox, other = Mailbox(folder), _neighbour(folder)
    try:
        mailbox.send("a")
        assert other.recv(100) == b"a"
    finally:
        mailbox.close()
        other.close()


async def test_a_deep_folder_receives_too(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    folder.mkdir(parents=True)
    mailbox, got = Mailbox(folder), asyncio.Queue[str]()
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        mailbox.receive(got.put_nowait)
        sender.sendto(b"a", f"/proc/self/fd/{descriptor}/{os.getpid()}.sock")
        assert await asyncio.wait_for(got.get(), SECONDS) == "a"
    finally:
        os.close(descriptor)
        sender.close()
        mailbox.close()


def test_a_process_that_starts_right_after_a_message_gets_the_next(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.send("a")
    other = _neighbour(tmp_path)
    # As if both had happened within one tick of the file system's clock.
    os.utime(tmp_path, ns=(mailbox._changed_ns, mailbox._changed_ns))
    try:
        mailbox.send("b")
        assert other.recv(100) == b"b"
    finally:
        mailbox.close()
        other.close()


def test_a_process_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    mailbox, other = Mailbox(tmp_path), _neighbour(tmp_path)
    try:
        for _ in range(2000):
            mailbox.send("a")
        assert other.recv(100) == b"a"
    finally:
        mailbox.close()
        other.close()


def test_a_new_loop_takes_the_socket_over(tmp_path: Path) -> None:
    mailbox, other_names = Mailbox(tmp_path), []

    async def listen() -> None:
        mailbox.receive(other_names.append)
        mailbox.receive(other_names.append)

    async def hear() -> None:
        got = asyncio.Event()
        mailbox.receive(lambda _: got.set())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a", str(tmp_path / f"{os.getpid()}.sock"))
        await asyncio.wait_for(got.wait(), SECONDS)

    asyncio.run(listen())
    asyncio.run(hear())
    mailbox.close()

    assert other_names == []
