"""Backups that the hub makes by itself, and tries to restore by itself.

They are sealed to the public half of a lock whose private half only the passphrase opens
(`sealing`): the hub can make backups without knowing it, and who takes the data folder cannot open
those that were made.  To try a restore, the keys of the files of the newest chain are kept beside
the identity key, in a file of their own; these open nothing but the backups of what is in the hub
anyway, or was lately, and they go when a new chain begins.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from acl.core.errors import HubError, RefusedError
from acl.identity import write_private
from thalihub.backups import making, trying
from thalihub.backups.frames import head_from
from thalihub.backups.sealing import lock_from
from thalihub.backups.store import runs
from thalihub.backups.store.runs import State
from thalihub.models import BackupPlan, BackupRun

_SUFFIX = ".thali-backup"
_KEYS = "backup-keys.json"
_RETRY_SECONDS = 3600


class _Cancelled(RefusedError):
    """Somebody has said so on the page."""


def set_passphrase(passphrase: str) -> None:
    """Seal what is made from now on to this passphrase; the next backup is a whole one.

    Raises RefusedError for a short one.
    """
    runs.change_plan(lock=making.fresh_lock(passphrase).as_text())
    _keys_file().unlink(missing_ok=True)


def look(now: int) -> None:
    """Do what is due: a backup, then a trial of the newest chain."""
    plan = runs.plan()
    if not plan.lock:
        return
    if _is_due(plan.next_at, plan.every, now):
        back_up(plan, now)
    if _is_due(plan.next_test_at, plan.test_every, now):
        try_newest(runs.plan())


def _is_due(at: int, every: int, now: int) -> bool:
    return at == runs.NOW or bool(every and at <= now)


def back_up(plan: BackupPlan, now: int) -> None:
    """Make the next backup of the plan, and remove those that are too old."""
    chain = _continued(plan)
    kind = "more" if chain else "whole"
    name = f"hub-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{kind}{_SUFFIX}"
    number = runs.begin(name, now, is_whole=not chain)
    if number is None:
        return
    runs.change_plan(next_at=now + plan.every)
    try:
        settings.HUB_BACKUPS.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_leftovers()
        parent = head_from(chain[-1].head) if chain else None
        made = making.make(
            settings.HUB_BACKUPS / name, lock_from(plan.lock), parent, _Watch(number).note
        )
        _keep_key(name, made.key)  # First: a backup that is noted as made can be tried.
    except (HubError, OSError) as error:
        _failed(number, error, plan)
        return
    total = made.documents
    head = made.head.as_text()
    runs.end(number, State.DONE, clock(), size=made.size, documents=total, head=head)
    _keep_keys_of([*(run.file for run in chain), name])
    _remove_old(plan.keep)


def _continued(plan: BackupPlan) -> list[BackupRun]:
    """Return the chain that the next backup continues; empty when it is to be a whole one."""
    chain = next(iter(runs.chains()), [])
    keys = _keys()
    if not 0 < len(chain) < plan.whole_each or any(run.file not in keys for run in chain):
        return []
    is_here = all(path_of(run).exists() for run in chain)
    return chain if is_here and head_from(chain[-1].head).lineage == plan.lineage else []


def _failed(number: int, error: HubError | OSError, plan: BackupPlan) -> None:
    state = State.CANCELLED if isinstance(error, _Cancelled) else State.FAILED
    runs.end(number, state, clock(), problem=str(error))
    if state == State.FAILED and plan.every:
        runs.change_plan(next_at=clock() + min(plan.every, _RETRY_SECONDS))


class _Watch:
    """Notes how far a run is, once a second."""

    def __init__(self, number: int) -> None:
        self._number, self._noted = number, 0

    def note(self, done: int, total: int) -> None:
        """Raise _Cancelled when the run is not wanted any more."""
        now = clock()
        if now != self._noted:
            self._noted = now
            if not runs.note(self._number, done, total, now):
                raise _Cancelled("Cancelled.")


def path_of(run: BackupRun) -> Path:
    """Return where the file of a run is, if it is still there."""
    folder: Path = settings.HUB_BACKUPS
    return folder / run.file


def remove(number: int) -> None:
    """Remove a backup, and those that continue it: they open nothing without it.

    Raises RefusedError when there is no such one, or its file cannot be removed.
    """
    for chain in runs.chains():
        numbers = [run.pk for run in chain]
        if number in numbers:
            _remove(chain[numbers.index(number) :])
            return
    raise RefusedError("There is no such backup any more.")


def _remove(gone: Sequence[BackupRun]) -> None:
    for run in reversed(gone):  # What is left, when it is cut, is a chain still.
        try:
            path_of(run).unlink(missing_ok=True)
        except OSError as error:
            raise RefusedError(f"{run.file} cannot be removed: {error.strerror}.") from error
        runs.forget([run])


def _remove_leftovers() -> None:
    """Remove drafts, and files whose process has ended before it could note them as made."""
    for path in settings.HUB_BACKUPS.glob(f"hub-*{_SUFFIX}.part"):
        path.unlink()
    for name in runs.files_of_failures():
        (settings.HUB_BACKUPS / name).unlink(missing_ok=True)


def _remove_old(keep: int) -> None:
    """Remove the chains after the first so many that are whole on the disk."""
    kept = 0
    for chain in runs.chains():
        if kept >= max(1, keep):
            with contextlib.suppress(RefusedError):  # The next time, then.
                _remove(chain)
        kept += all(path_of(run).exists() for run in chain)


# Trials


def try_newest(plan: BackupPlan) -> None:
    """Restore the newest chain into a temporary folder, and note what was found."""
    chain = next(iter(runs.chains()), [])
    number = runs.begin(chain[-1].file, clock(), is_test=True) if chain else None
    if number is None:
        return
    runs.change_plan(next_test_at=clock() + (plan.test_every or 0))
    try:
        tried = _tried(chain)
        problem = " ".join(tried.wrong)
    except (HubError, OSError) as error:
        runs.end(number, State.FAILED, clock(), problem=str(error))
        return
    state = State.FAILED if problem else State.DONE
    runs.end(number, state, clock(), problem=problem, documents=tried.documents)


def _tried(chain: Sequence[BackupRun]) -> trying.Tried:
    keys = _keys()
    paths = [path_of(run) for run in chain]
    missing = [path.name for path in paths if path.name not in keys]
    if missing:
        raise RefusedError("The passphrase has changed since. Make a new backup first.")
    return trying.in_passing(paths, lambda path, _: bytes.fromhex(keys[path.name]))


def _keep_key(name: str, key: bytes) -> None:
    write_private(_keys_file(), json.dumps(_keys() | {name: key.hex()}).encode())


def _keep_keys_of(names: Sequence[str]) -> None:
    kept = {name: key for name, key in _keys().items() if name in names}
    write_private(_keys_file(), json.dumps(kept).encode())


def _keys() -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(_keys_file().read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return kept


def _keys_file() -> Path:
    folder: Path = settings.HUB_DATA
    return folder / _KEYS


def clock() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())
