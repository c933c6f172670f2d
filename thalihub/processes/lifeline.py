"""A child of the hub ends when its supervisor does, even if that one was killed.

The supervisor holds the writing end of a pipe and never writes; the end of the pipe is the end of
the supervisor.
"""

from __future__ import annotations

import os
import signal
import threading
import time

_GRACE_SECONDS = 10.0


def watch(descriptor: int) -> None:
    """End this process in order when the pipe `descriptor` ends, and by force 10 s later."""
    threading.Thread(target=_wait, args=(descriptor,), daemon=True, name="lifeline").start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
