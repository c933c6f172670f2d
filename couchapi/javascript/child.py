"""The process in which JavaScript runs: no Django, no files, no network, no environment.

It is started by `engine` and speaks with it over its standard input and output, in frames: four
bytes of length, a line of JSON, and text.  A crash, an exhausted heap or a loop that nothing
interrupts ends this process and nobody else.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LENGTH = struct.Struct(">I")
_STACK_BYTES = 1024 * 1024
_OF_PYTHON = 256 * 1024 * 1024
"""Address space beside the contexts': the interpreter, and frames on their way."""


def main() -> None:
    """Serve calls until standard input ends."""
    folder, sandbox, seconds, memory, contexts = sys.argv[1:]
    sys.path.append(folder)
    import quickjs  # type: ignore[import-untyped]

    with open(sandbox, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes its time to load
        source = file.read()
    worker = Worker(quickjs, source, float(seconds), int(memory))
    _confine(int(memory) * int(contexts) + _OF_PYTHON)
    while (frame := _read(_LENGTH.size)) is not None:
        request = _read(_LENGTH.unpack(frame)[0])
        if request is None:
            return
        head, _, text = request.partition(b"\n")
        answer = worker.answer(json.loads(head), text.decode())
        sys.stdout.buffer.write(_LENGTH.pack(len(answer)) + answer)
        sys.stdout.buffer.flush()


def _confine(memory: int) -> None:
    """Give up what this process does not need: it opens, writes and starts nothing more."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit()
    for name, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(name, (limit, limit))


def _read(size: int) -> bytes | None:
    data = sys.stdin.buffer.read(size)
    return data if len(data) == size else None


class Worker:
    """The contexts of this process: one for each design document of each database."""

    def __init__(self, quickjs: Any, source: str, seconds: float, memory: int) -> None:
        self._quickjs = quickjs
        self._source = source
        self._seconds = seconds
        self._memory = memory
        self._contexts: dict[str, Any] = {}
        self._designs: dict[str, str] = {}

    def answer(self, head: dict[str, Any], text: str) -> bytes:
        """Carry out one request and return its answer."""
        for name in head.get("drop", ()):
            self._contexts.pop(name, None)
            self._designs.pop(name, None)
        if head["op"] == "load":
            self._designs[head["program"]] = text
            return self._framed({"kind": ""}, "")
        return self._call(head["program"], head["op"], text, head["now"])

    def _call(self, program: str, name: str, text: str, now: int) -> bytes:
        try:
            host = self._context(program)
            host("begin", str(now))
            result = host(name, text)
            logged = json.loads(host("logged", ""))
        except (self._quickjs.JSException, MemoryError) as error:
            return self._stopped(program, error)
        except (TypeError, ValueError) as error:  # What came back is no text that can be read.
            head = {"kind": "exception", "message": f"The engine cannot answer: {error}"}
            return self._framed(head, "")
        if result[:1] == "\x19":
            kind, message = json.loads(result[1:])
            return self._framed({"kind": kind, "message": message, "log": logged}, "")
        return self._framed({"kind": "", "log": logged}, result)

    def _context(self, program: str) -> Any:
        host = self._contexts.get(program)
        if host is None:
            context = self._quickjs.Context()
            context.set_max_stack_size(_STACK_BYTES)
            context.set_memory_limit(self._memory)
            context.set_time_limit(self._seconds)
            context.eval(self._source)
            host = self._contexts[program] = context.get("__host")
            context.eval("delete globalThis.__host")
            host("load", self._designs[program])
        return host

    def _stopped(self, program: str, error: BaseException) -> bytes:
        """Tell how far a call came that was cut off; its context may be broken, and goes."""
        interrupted = "interrupted" in str(error)
        kind = "timeout" if interrupted else "memory"
        head: dict[str, Any] = {"kind": kind, "message": "", "at": 0}
        partial = ""
        host = self._contexts.pop(program, None)
        try:
            if host is not None:
                count = int(host("count", ""))
                partial = host("done", "") if count else ""
                head["at"] = count
        except (self._quickjs.JSException, MemoryError, ValueError):
            head["at"], partial = 0, ""
        return self._framed(head, partial)

    def _framed(self, head: dict[str, Any], text: str) -> bytes:
        return json.dumps(head).encode() + b"\n" + text.encode()


if __name__ == "__main__":
    main()
