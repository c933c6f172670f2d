"""Makes one backup: a file that is there when it is whole and safe on the disk, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from acl import identity
from acl.core.errors import HubError, RefusedError
from thalihub.backups import dumping
from thalihub.backups.dumping import Origin, Progress
from thalihub.backups.frames import Head
from thalihub.backups.sealing import KEY_BYTES, SALT_BYTES, Lock, Sealer, new_lock
from thalihub.backups.store import loading, runs

_PART = ".part"


class Made(NamedTuple):
    """A backup that was made, its size in bytes, and the key that opens this one file."""

    head: Head
    documents: int
    """In the hub, not only in this file."""
    size: int
    key: bytes


def fresh_lock(passphrase: str) -> Lock:
    """Return a new lock under a passphrase; raises RefusedError for a short one."""
    private, salt = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(SALT_BYTES)
    return new_lock(passphrase, private=private, salt=salt)


def make(path: Path, lock: Lock, parent: Head | None, progress: Progress) -> Made:
    """Write a backup to `path`; with a `parent`, only what is new since then.

    Raises RefusedError when that cannot be; then, as after every other error, nothing is left.
    """
    if path.exists():
        raise RefusedError(f"{path} exists already. Name a file that does not.")
    origin = _origin()
    if parent is not None and parent.lineage != origin.lineage:
        raise RefusedError(
            "This hub does not continue from that backup: it is another hub's, or this one was "
            "restored since. Make a whole backup."
        )
    part = path.with_name(path.name + _PART)
    try:
        return _written(part, path, lock, origin, parent, progress)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> RefusedError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RefusedError(
            f"The disk is full: {path} does not fit. Nothing is left of it, and earlier backups "
            "are as they were. Make room there, or make the backup on a larger disk."
        )
    return RefusedError(f"{path} cannot be written: {error.strerror}.")


def _written(
    part: Path, path: Path, lock: Lock, origin: Origin, parent: Head | None, progress: Progress
) -> Made:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        sealer = Sealer(file.write, lock, secrets.token_bytes(KEY_BYTES))
        head, documents = dumping.dump(sealer.write, origin, parent, progress)
        sealer.close()
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return Made(head, documents, size, sealer.key)


def _origin() -> Origin:
    try:
        key = identity.load(settings.HUB_DATA).device_key
    except HubError:
        key = ""
    return Origin(
        migrations=loading.migrations(),  # First: whether the tables can be read at all.
        ident=secrets.token_hex(16),
        lineage=runs.lineage(),
        made_at=int(time.time()),
        key=key,
    )
