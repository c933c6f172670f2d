"""Keeps the hub's processes running: starts them, restarts the dead, ends all together.

Children are forks: what the supervisor has loaded they need not load again, and share in memory.
The sockets belong to the supervisor and are inherited, so the port stays open while a web process
is started again, and no connection that waits to be accepted is lost.  A child says that it serves
by one byte through a pipe; `thalihub/processes/lifeline.py` ends it when we are gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from types import FrameType

from setproctitle import setproctitle

from thalihub.processes import backoff, lifeline

logger = logging.getLogger(__name__)

_FORKS = multiprocessing.get_context("fork")
_GRACE_SECONDS = 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class Child:
    """One process that has to run: `run` returns when it got SIGTERM.

    A child that `announces` is given the descriptor to which it writes a byte when it serves.  One
    that may `rest` ends with 0 when there is nothing to do, and is started again by SIGUSR1, or
    after `rest_seconds` where nobody could send that.
    """

    name: str
    run: Callable[..., None]
    sockets: Sequence[int] = ()
    announces: bool = False
    may_rest: bool = False
    rest_seconds: float | None = None
    process: ForkProcess | None = None
    ready: bool = False
    ready_pipe: int | None = None
    started_at: float = 0.0
    start_at: float | None = 0.0
    delay: float | None = None


class Supervisor:
    """Runs `children` until SIGTERM or SIGINT."""

    def __init__(
        self, children: Sequence[Child], on_serving: Callable[[], None], private: Collection[int]
    ) -> None:
        """Call `on_serving` once, when every child that announces itself has done so.

        A child gets the descriptors in `private` only if they are among its sockets.
        """
        self._children = children
        self._private = frozenset(private)
        self._on_serving = on_serving
        self._serving = False
        self._stopping = False
        self._lifeline, self._lifeline_ours = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_ours = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(self._wakeup_ours, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def run(self) -> None:
        """Supervise until a signal asks to stop; then return when all children are gone."""
        self._take_signals()
        try:
            while not self._stopping:
                self._start_due(time.monotonic())
                self._wait(self._until_next_start(time.monotonic()))
                self._reap(time.monotonic())
                self._announce()
        finally:
            self._end_all()

    def _take_signals(self) -> None:
        signal.set_wakeup_fd(self._wakeup_ours, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # Wakes the selector.
        signal.signal(signal.SIGUSR1, self._rouse)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)

    def _rouse(self, number: int, _: FrameType | None) -> None:
        for child in self._children:
            if child.may_rest and child.process is None:
                child.start_at = 0.0

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._stopping = True

    # Starting

    def _start_due(self, now: float) -> None:
        for child in self._children:
            if child.process is None and child.start_at is not None and child.start_at <= now:
                self._start(child, now)

    def _start(self, child: Child, now: float) -> None:
        arguments: list[int] = []
        if child.announces:
            child.ready_pipe, write_end = os.pipe()
            arguments.append(write_end)
        child.process = _FORKS.Process(target=self._become, args=(child, arguments))
        child.process.start()
        child.started_at, child.start_at, child.ready = now, None, False
        for descriptor in arguments:
            os.close(descriptor)
        if child.ready_pipe is not None:
            self._selector.register(child.ready_pipe, selectors.EVENT_READ, child)

    def _become(self, child: Child, arguments: Sequence[int]) -> None:
        """Be the child: from here on this is another process."""
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor alone, which passes it on.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGUSR1, *_STOP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        self._leave_behind(child)
        setproctitle(f"thali-hub {child.name}")
        lifeline.watch(self._lifeline)
        child.run(*arguments)

    def _leave_behind(self, child: Child) -> None:
        # Our end of the lifeline before all: who holds it keeps every child alive.
        pipes = {one.ready_pipe for one in self._children} - {None}
        self._selector.close()
        for descriptor in (
            {self._lifeline_ours, self._wakeup, self._wakeup_ours}
            | pipes
            | (self._private - set(child.sockets))
        ):
            os.close(descriptor)

    def _until_next_start(self, now: float) -> float | None:
        due = [child.start_at for child in self._children if child.start_at is not None]
        return max(0.0, min(due) - now) if due else None

    # Watching

    def _wait(self, seconds: float | None) -> None:
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._drain_wakeup()
            else:
                self._read_ready(key.data)

    def _drain_wakeup(self) -> None:
        try:
            while os.read(self._wakeup, 64):
                pass
        except BlockingIOError:
            return

    def _read_ready(self, child: Child) -> None:
        assert child.ready_pipe is not None
        child.ready = bool(os.read(child.ready_pipe, 1))
        self._close_pipe(child)

    def _close_pipe(self, child: Child) -> None:
        if child.ready_pipe is not None:
            self._selector.unregister(child.ready_pipe)
            os.close(child.ready_pipe)
            child.ready_pipe = None

    def _reap(self, now: float) -> None:
        for child in self._children:
            if child.process is None or child.process.exitcode is None:
                continue
            if child.may_rest and child.process.exitcode == 0:
                child.delay = child.start_at = None
                if child.rest_seconds is not None:
                    child.start_at = now + child.rest_seconds
            else:
                self._start_later(child, now)
            child.process.close()
            child.process, child.ready = None, False
            self._close_pipe(child)

    def _start_later(self, child: Child, now: float) -> None:
        assert child.process is not None
        child.delay = backoff.next_delay(child.delay, now - child.started_at)
        child.start_at = now + child.delay
        logger.warning(
            "The %s process ended with %s; it starts again in %.0f s.",
            child.name,
            child.process.exitcode,
            child.delay,
        )

    def _announce(self) -> None:
        if not self._serving and all(one.ready for one in self._children if one.announces):
            self._serving = True
            self._on_serving()

    # Ending

    def _end_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                logger.warning("Process %s did not end by itself.", process.pid)
                process.kill()
                process.join()
