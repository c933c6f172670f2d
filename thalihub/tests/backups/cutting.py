"""Cuts the power of a backup or a restore at every step, and tells what was there afterwards.

`python -m thalihub.tests.backups.cutting restore|load|backup FILE MODEL` works on HUB_DATA.  Each
try is a fork of this process, so nothing is loaded again, and ends by SIGKILL before its first
step, then before its second, and so on until one comes to its end.  A step is whatever Python does
to the file system (its audit events); each try begins with what the one before has left.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

_STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR
_OF_COMMANDS = ("hub.lock", "secret.key")


def killed_at(step: int, job: Callable[[], object]) -> bool:
    """Run `job` in a child that dies before that step; tell whether it did not come to its end."""
    child = os.fork()
    if not child:
        left = [step]

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _STEPS or (event == "open" and arguments[2] & _WRITING):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            job()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert status == 0, f"The child ended with {status}."
    return False


def restores(file: Path, model: Path) -> list[str]:
    """Return how the data folder was after each cut: empty, unfinished, whole, or wrong."""
    from django.conf import settings

    from acl.core.errors import RefusedError
    from thalihub.backups import restoring

    key_of = restoring.by_passphrase(os.environ["HUB_PASSPHRASE"])
    restoring.head_of(file, key_of)  # From here on it knows the key.

    def load(_chain: object, _key_of: object, _documents: object, draft: Path) -> None:
        """Take what a restore has loaded before: that takes a second, and stays in the draft."""
        from thalihub.backups.store import loading

        loading.use_file(draft / "hub.sqlite3")
        shutil.copytree(model, draft, dirs_exist_ok=True)

    def state() -> str:
        try:
            restoring.check_finished(settings.HUB_DATA)
        except RefusedError:
            return "unfinished"
        found, wanted = (_files(one) for one in (settings.HUB_DATA, model))
        if not found - set(_OF_COMMANDS):
            return "empty"
        _same, other, lost = filecmp.cmpfiles(settings.HUB_DATA, model, wanted, shallow=False)
        return "wrong" if other or lost or found - wanted - set(_OF_COMMANDS) else "whole"

    restoring._load = load
    states: list[str] = []

    def restore() -> None:
        restoring.restore([file], key_of)

    while not states or states[-1] != "whole":
        is_killed = killed_at(len(states) + 1, restore)
        states.append(state())
        if not is_killed and states[-1] != "whole":
            return [*states, "wrong"]
    return states


def loads(file: Path, _: Path) -> list[str]:
    """Return how the data folder was after cuts at the first frame, and when all were loaded."""
    from django.conf import settings

    from acl.core.errors import RefusedError
    from thalihub.backups import restoring
    from thalihub.backups.store import loading

    key_of = restoring.by_passphrase(os.environ["HUB_PASSPHRASE"])

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    states = []
    for place, name in ((loading.Loader, "take"), (loading, "finish")):
        kept = getattr(place, name)
        setattr(place, name, die)
        assert killed_at(sys.maxsize, lambda: restoring.restore([file], key_of))
        setattr(place, name, kept)
        try:
            restoring.check_finished(settings.HUB_DATA)
        except RefusedError:
            states.append("unfinished")
    return states


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths}


def backups(file: Path, _: Path) -> list[str]:
    """Return what was there of the backup after each cut: nothing, a draft, all of it, or wrong."""
    from acl.core.errors import RefusedError
    from thalihub.backups import making, restoring

    passphrase = os.environ["HUB_PASSPHRASE"]
    lock = making.fresh_lock(passphrase)
    key_of = restoring.by_passphrase(passphrase)

    def make() -> None:
        making.make(file, lock, None, lambda *_: Path(os.devnull).open("w").close())

    def state() -> str:
        if not file.exists():
            return "draft" if file.with_name(file.name + ".part").exists() else "nothing"
        try:
            restoring._verified(restoring.Backup(file, restoring.head_of(file, key_of)), key_of)
        except RefusedError:
            return "wrong"
        return "whole"

    states: list[str] = []
    while not states or states[-1] in ("nothing", "draft"):
        killed_at(len(states) + 1, make)
        states.append(state())
    return states


def main() -> None:
    """Print the states as JSON."""
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "thalihub.settings")
    django.setup()
    what, file, model = sys.argv[1:]
    states = {"restore": restores, "load": loads, "backup": backups}[what](Path(file), Path(model))
    sys.stdout.write(json.dumps(states) + "\n")


if __name__ == "__main__":
    main()
