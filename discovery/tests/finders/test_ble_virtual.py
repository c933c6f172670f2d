"""Two hubs in two processes, with nothing but Bluetooth between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from discovery.tests.finders.virtualradio import air

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[3]
MODULE = "discovery.tests.finders.virtualradio"


@contextlib.asynccontextmanager
async def hub(port: int, size: int) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, str(port), str(size)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=SOURCE,
        limit=2**20,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    assert process.returncode == 0


async def line(of: Process) -> dict[str, Any]:
    async with asyncio.timeout(30):
        assert of.stdout is not None
        said: dict[str, Any] = json.loads(await of.stdout.readline())
        return said


async def found(by: Process) -> dict[str, Any]:
    """Let a hub look, and return what it finds."""
    assert by.stdin is not None
    by.stdin.write(b"look\n")
    return await line(by)


async def test_two_processes_find_each_other_by_bluetooth_alone() -> None:
    async with (
        air(2) as ports,
        hub(ports[0], 473) as ada,
        hub(ports[1], 4073) as bob,
    ):
        by_ada, by_bob = await line(ada), await line(bob)
        assert by_ada["state"] == by_bob["state"] == "on"
        assert await found(bob) == {"found": by_ada["said"], "way": "ble"}
        assert await found(ada) == {"found": by_bob["said"], "way": "ble"}
