"""Workers for JavaScript: each a thread that owns one child process and waits for its answers.

A call goes to the worker that is free.  The child stops a function by itself when its time or its
memory is over; one that does not answer a little later is killed, and the next call gets a new
one (design/performance.md, "JavaScript").  A caller that goes away leaves its call to end by
itself: its worker is busy for no longer than the limit.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import logging
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.conf import settings

_log = logging.getLogger(__name__)

_CONTEXTS = 8
"""Contexts that a child keeps; the one that was used longest ago makes room."""
_PATIENCE = 4.0
"""The child counts the seconds that it runs; on a busy machine they take longer to pass."""
_START_SECONDS = 30.0
_LARGEST_ANSWER = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")
_HERE = Path(__file__).parent

T = TypeVar("T")


class Program(NamedTuple):
    """The functions that share globals: those of one design document of one database."""

    isolation: str
    """Which database; two that hold the same design document share nothing."""
    design: bytes
    """JSON of the design document, as far as its functions need it."""

    @property
    def key(self) -> str:
        """The name of its context."""
        return hashlib.sha256(self.isolation.encode() + b"\0" + self.design).hexdigest()


class Answer(NamedTuple):
    """What a call came to; without `kind` it went well."""

    kind: str
    message: str
    text: str
    at: int = 0
    """How many documents were done when the call was cut off: theirs is `text`."""


class ChildLost(Exception):
    """The child died, or did not answer in time."""


def run(job: Callable[[Worker], T]) -> Future[T]:
    """Return the future of `job`, which has a worker to itself for as long as it runs."""
    return _engine().submit(job)


def close() -> None:
    """End the children of this process."""
    if _engine.cache_info().currsize:
        _engine().close()
        _engine.cache_clear()


@functools.cache
def _engine() -> _Engine:
    return _Engine(settings.HUB_JS_PROCESSES)


class _Engine:
    """The workers of this process; children start when they are first needed."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="javascript")
        self._local = threading.local()
        self._workers: set[Worker] = set()

    def submit(self, job: Callable[[Worker], T]) -> Future[T]:
        return self._pool.submit(self._with_worker, job)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for worker in self._workers:
            worker.close()

    def _with_worker(self, job: Callable[[Worker], T]) -> T:
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = Worker()
            self._workers.add(worker)
        return job(worker)


class Worker:
    """A thread's child process; a lost one is replaced."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def call(self, program: Program, name: str, text: bytes) -> Answer:
        """Call a function of the host in the program's context.

        A child that dies may have been ended from outside, so the call is tried once more: what
        kills two is a "crash".  One that does not answer in time is "hung".
        """
        for _ in range(2):
            try:
                return self._living().call(program, name, text)
            except TimeoutError:
                self.close()
                return Answer("hung", "It could not be stopped in time.", "")
            except ChildLost:
                self.close()
        return Answer("crash", "The engine crashed.", "")

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _living(self) -> Child:
        if self._child is None:
            self._child = Child()
        return self._child


class Child:
    """One child process."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._process = subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._started = False

    def call(self, program: Program, name: str, text: bytes) -> Answer:
        """Call a function of the host; raises ChildLost, and TimeoutError for no answer."""
        try:
            drop = self._load(program)
            now_ms = int(time.time()) * 1000
            asked = {"op": name, "program": program.key, "now": now_ms, "drop": drop}
            head, body = self._exchange(asked, text)
        except TimeoutError:
            raise
        except (OSError, EOFError, ValueError) as error:
            raise ChildLost(str(error)) from error
        for line in head.get("log", ()):
            _log.info("A function of %s says: %s", program.isolation, line)
        return Answer(head["kind"], head.get("message", ""), body, head.get("at", 0))

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _load(self, program: Program) -> list[str]:
        """Give the child the program if it has not got it; return what it is to forget."""
        if program.key in self._loaded:
            self._loaded.move_to_end(program.key)
            return []
        self._loaded[program.key] = None
        self._exchange({"op": "load", "program": program.key}, program.design)
        extra = max(0, len(self._loaded) - _CONTEXTS)
        return [self._loaded.popitem(last=False)[0] for _ in range(extra)]

    def _exchange(self, head: dict[str, Any], text: bytes) -> tuple[dict[str, Any], str]:
        request = json.dumps(head).encode() + b"\n" + text
        seconds = settings.HUB_JS_SECONDS * _PATIENCE
        deadline = time.monotonic() + seconds + (0 if self._started else _START_SECONDS)
        self._write(_LENGTH.pack(len(request)) + request, deadline)
        (size,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if size > _LARGEST_ANSWER:
            raise ValueError("The answer is too large.")
        line, _, body = self._read(size, deadline).partition(b"\n")
        self._started = True
        answer: dict[str, Any] = json.loads(line)
        return answer, body.decode()

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._in, selectors.EVENT_WRITE, deadline)
            view = view[os.write(self._in, view[:65536]) :]

    def _read(self, size: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while size:
            self._wait(self._out, selectors.EVENT_READ, deadline)
            part = os.read(self._out, min(size, 1024 * 1024))
            if not part:
                raise EOFError("The process ended.")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        with selectors.PollSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError("The process did not answer.")


@functools.cache
def _command() -> list[str]:
    engine = importlib.util.find_spec("quickjs")
    assert engine is not None
    assert engine.origin is not None
    return [
        sys.executable,
        "-I",
        "-S",
        str(_HERE / "child.py"),
        str(Path(engine.origin).parent.parent),
        str(_HERE / "sandbox.js"),
        str(settings.HUB_JS_SECONDS),
        str(settings.HUB_JS_MEMORY),
        str(_CONTEXTS),
    ]
