"""Makes a hub of a chain of backups: a whole one, and those that continue it.

All files are read to their ends first, and nothing is written before they are found in order.
Then everything is made in `restore.part` below the data folder and moved into place at last, the
database as the last of it.  While that folder is there a restore was not finished: the hub does
not start, and the next restore begins anew.  The folder loses its name in one step, when all else
is durable, or when all that was made is gone again; so it does not matter where a restore is cut.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from acl import sql
from acl.core.errors import RefusedError
from thalihub.backups import dumping, frames
from thalihub.backups.frames import Frame, Head
from thalihub.backups.sealing import Damaged, Opener, unlocked
from thalihub.backups.store import loading, runs

_DRAFT, _OVER = "restore.part", "restore.over"
_TARGET = "database"
"""A file of the draft: the database that is being filled.  Without it, none was touched."""
_SECRET = "secret.key"
"""Every command makes one where there is none, so it says nothing of a hub."""
_OF_A_HUB = (
    *("hub.sqlite3", "hub.sqlite3-wal", "attachments"),
    *(name for name in dumping.FILES if name != _SECRET),
)

KeyOf = Callable[[Path, Opener], bytes]
"""Returns the key of a file; raises WrongPassphrase."""


class Backup(NamedTuple):
    """A file with what it says it is."""

    path: Path
    head: Head


class Restored(NamedTuple):
    """What came back."""

    head: Head
    """Of the newest of the files."""
    documents: int


def by_passphrase(passphrase: str) -> KeyOf:
    """Return what opens files by their locks; a chain made by one hub has one lock."""
    known: dict[bytes, bytes] = {}

    def key_of(_: Path, opener: Opener) -> bytes:
        lock = opener.lock
        if lock.sealed not in known:
            known[lock.sealed] = unlocked(lock, passphrase)
        return opener.key(known[lock.sealed])

    return key_of


def head_of(path: Path, key_of: KeyOf) -> Head:
    """Return what a backup says it is; raises RefusedError."""
    for frame in _frames(path, key_of):
        if frame.kind == frames.HEAD:
            return frames.head_from(frame.content)
        break
    raise Damaged


def check_finished(folder: Path) -> None:
    """Raise RefusedError where a restore was begun and did not end."""
    if (folder / _DRAFT).exists():
        raise RefusedError(
            "A restore into this data folder did not end. Run it again: manage.py restore FILE"
        )
    shutil.rmtree(folder / _OVER, ignore_errors=True)


def restore(paths: Sequence[Path], key_of: KeyOf) -> Restored:
    """Put a chain of backups into this hub's empty data folder and database; raises RefusedError.

    After an error all is as it was before.
    """
    folder, place = settings.HUB_DATA, _place()
    _end_earlier(folder, place)
    _check_empty(folder, place)
    chain = ordered([Backup(path, head_of(path, key_of)) for path in paths])
    documents = [_verified(one, key_of) for one in chain][-1]
    try:
        _begin(folder / _DRAFT)
        _load(chain, key_of, documents, folder / _DRAFT)
        if place is not None:
            loading.use_file(place)
        _put_into_place(folder / _DRAFT, folder, place)
    except BaseException as error:
        why = _why(error, folder)
        _undo_or_say(folder, place)
        if why:
            raise RefusedError(why) from error
        raise
    _forget(folder)
    return Restored(chain[-1].head, sum(documents.values()))


def _begin(draft: Path) -> None:
    """Make the draft, which says what it fills before anything is filled."""
    draft.mkdir(mode=0o700)
    _sync(draft.parent)
    (draft / _TARGET).write_text(_target())
    _sync(draft / _TARGET)
    _sync(draft)


def _end_earlier(folder: Path, place: Path | None) -> None:
    """Undo what a restore that was cut off has left; raises RefusedError for another database."""
    if (folder / _OVER).exists():
        shutil.rmtree(folder / _OVER)
    if not (folder / _DRAFT).exists():
        return
    target = folder / _DRAFT / _TARGET
    if target.exists() and target.read_text() not in ("", _target()):
        raise RefusedError(
            "An earlier restore into this data folder did not end, and it filled another "
            f"database, {target.read_text()}. Set DATABASE_URL as it was then, and restore again; "
            f"or empty that database yourself, and remove {folder / _DRAFT}."
        )
    _undo(folder, place)


def _target() -> str:
    """Return which database is filled, without its password."""
    entry, folder = settings.DATABASES["default"], settings.HUB_DATA
    if entry["ENGINE"].endswith("sqlite3"):
        path = Path(str(entry["NAME"]))
        return path.name if path.parent == folder else str(path)
    return f"{entry.get('HOST', '')}:{entry.get('PORT', '')}/{entry['NAME']}"


def _why(error: BaseException, folder: Path) -> str:
    """Return what to say of an error that is the disk's; empty for others.  Ask before undoing."""
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_full or loading.is_full(error):
        return (
            f"The disk of {folder} is full. Nothing is left of this restore. Make room there, or "
            "set HUB_DATA to an empty folder on a larger disk; then run the same command again."
        )
    return f"The data folder cannot be written: {error}." if isinstance(error, OSError) else ""


def _undo_or_say(folder: Path, place: Path | None) -> None:
    try:
        _undo(folder, place)
    except (OSError, loading.DatabaseError) as error:
        raise RefusedError(
            f"The restore did not work, and what it has made cannot be removed: {error}. The hub "
            "does not start on it. Run the same command again when that works."
        ) from error


def ordered(backups: Sequence[Backup]) -> list[Backup]:
    """Return a chain from its whole backup on; raises RefusedError where one is missing."""
    wholes = [one for one in backups if not one.head.parent]
    if len(wholes) != 1:
        raise RefusedError("Name one whole backup, and those that continue it.")
    chain = wholes
    while following := [one for one in backups if one.head.parent == chain[-1].head.ident]:
        chain = [*chain, following[0]]
    if len(chain) != len(backups):
        stray = next(one for one in backups if one not in chain)
        raise RefusedError(
            f"{stray.path} continues a backup that is not among these. Name all files between "
            "it and the whole backup."
        )
    return chain


def _check_empty(folder: Path, place: Path | None) -> None:
    _remove_empty_file(place)
    for name in _OF_A_HUB:
        if (folder / name).exists():
            raise RefusedError(
                f"{folder} holds a hub already: there is {name}. Restore into an empty folder: "
                "set HUB_DATA."
            )
    if place is not None and not place.exists():  # Looking into it would make it.
        return
    if loading.has_tables():
        raise RefusedError(
            "The database holds a hub already. Make an empty one, and name it in DATABASE_URL."
        )


def _remove_empty_file(place: Path | None) -> None:
    """Remove a file without tables: whatever command looks for a hub makes one."""
    if place is not None and place.exists() and not loading.has_tables():
        loading.use_file(place)
        for suffix in ("", "-wal", "-shm"):
            place.with_name(place.name + suffix).unlink(missing_ok=True)


def _verified(backup: Backup, key_of: KeyOf) -> dict[str, int]:
    """Read a file to its end and return how many documents each database has then."""
    loading.check_known(backup.head)
    contents = 0
    for frame in _frames(backup.path, key_of):
        contents += frame.kind == frames.CONTENT
        if frame.kind == frames.END:
            if frame.said["contents"] != contents:
                raise Damaged
            return dict(frame.said["documents"])
    raise Damaged


def _load(chain: Sequence[Backup], key_of: KeyOf, documents: dict[str, int], draft: Path) -> None:
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        loading.use_file(draft / "hub.sqlite3")
    with loading.loading(chain[-1].head):
        for one in chain:
            loader = loading.Loader(one.head, draft)
            for frame in _frames(one.path, key_of):
                loader.take(frame)
        loading.finish(chain[-1].head, draft, documents)
    runs.begin_lineage()


def _put_into_place(draft: Path, folder: Path, place: Path | None) -> None:
    for path in draft.iterdir():
        if path.is_dir() and path.name != "attachments":
            (folder / path.name).mkdir(mode=0o700, exist_ok=True)
            for inner in path.iterdir():
                inner.replace(folder / path.name / inner.name)
        elif path.name != _TARGET and not path.name.startswith("hub.sqlite3"):
            path.replace(folder / path.name)
    for made in (*(folder / "attachments").glob("*"), folder / "attachments", folder / "tor"):
        if made.is_dir():
            _sync(made)
    _sync(folder)
    if place is not None:
        (draft / "hub.sqlite3").replace(place)
        _sync(place.parent)


def _undo(folder: Path, place: Path | None) -> None:
    """Make the folder and the database empty again; the draft goes last, so it can be cut, too."""
    is_filled = (folder / _DRAFT / _TARGET).exists()
    if place is not None:
        loading.use_file(place)
    if is_filled and place is not None:
        place.unlink(missing_ok=True)
    elif is_filled:
        sql.close()
        loading.drop_everything()
    for name in _OF_A_HUB if is_filled else ():
        _remove(folder / name)
    with contextlib.suppress(OSError):  # It may not be there, or hold something of others.
        (folder / "tor").rmdir()
    _sync(folder)
    _forget(folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)


def _forget(folder: Path) -> None:
    """Let the restore be over, in one step; what is left of its draft holds nobody up."""
    with contextlib.suppress(FileNotFoundError):
        (folder / _DRAFT).rename(folder / _OVER)
    _sync(folder)
    shutil.rmtree(folder / _OVER, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _place() -> Path | None:
    """Return where SQLite's file is to be; None with a server.  Asked before it is set aside."""
    entry = settings.DATABASES["default"]
    return Path(str(entry["NAME"])) if entry["ENGINE"].endswith("sqlite3") else None


def _frames(path: Path, key_of: KeyOf) -> Iterator[Frame]:
    try:
        with path.open("rb") as file:
            opener = Opener(file.read)
            yield from frames.read(opener.chunks(key_of(path, opener)))
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}.") from error
    except RefusedError as error:
        if path.name in error.reason or str(path) in error.reason:
            raise
        raise type(error)(f"{path}: {error.reason}") from error
