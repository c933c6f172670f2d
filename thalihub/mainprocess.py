"""The hub's main process: supervises, and knows nothing of Django.

`manage.py hub` prepares everything and then becomes this program, keeping its process id, its lock
and its sockets.  So what stays in memory for the supervisor is a fifth of a Django process.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from thalihub import datafolder
from thalihub.supervisor import Child, Supervisor


@dataclass(frozen=True)
class Plan:
    """What the main process has to do: descriptors are open files that it inherits."""

    data_folder: str
    lock: int
    api: int
    pages: int
    web_processes: int
    facts: dict[str, Any]
    """What hub.json says."""
    greeting: str
    """What is printed when the hub serves."""
    environment: dict[str, str] = field(default_factory=dict)


def become(plan: Plan) -> NoReturn:
    """Replace this process by the main process."""
    reading, writing = os.pipe()
    os.write(writing, json.dumps(asdict(plan)).encode())
    os.close(writing)
    for descriptor in (plan.lock, plan.api, plan.pages, reading):
        os.set_inheritable(descriptor, True)
    command = [*_python("thalihub.mainprocess"), f"--plan={reading}"]
    os.execve(command[0], command, os.environ | plan.environment)


def main() -> None:
    """Supervise by the plan until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=int, required=True, help="a file descriptor")
    with open(parser.parse_args().plan) as file:  # noqa: PTH123 - a descriptor, not a path
        plan = Plan(**json.load(file))
    logging.basicConfig(format="{asctime} {levelname} {name}: {message}", style="{")
    folder = Path(plan.data_folder)
    try:
        Supervisor(_children(plan), lambda: _serving(folder, plan)).run()
    finally:
        datafolder.withdraw(folder)


def _serving(folder: Path, plan: Plan) -> None:
    datafolder.announce(folder, plan.facts)
    sys.stdout.write(plan.greeting)
    sys.stdout.flush()


def _children(plan: Plan) -> Sequence[Child]:
    sockets = (plan.api, plan.pages)
    web = [*_python("thalihub.webprocess"), f"--api={plan.api}", f"--pages={plan.pages}"]
    return [
        *(
            Child(f"web {number}", web, sockets, announces=True)
            for number in range(1, plan.web_processes + 1)
        ),
        Child("worker", _python("thalihub.workerprocess")),
        Child("keeper", _python("thalihub.keeperprocess")),
    ]


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


if __name__ == "__main__":
    main()
