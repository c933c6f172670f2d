"""Contents in files and in rows keep one contract; files are whole or not there."""

from __future__ import annotations

import itertools
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from acl import sql
from couchapi import tasks
from couchapi.core.attached import Attached
from couchapi.core.errors import ContentMissing, NotFound, StorageFull
from couchapi.core.incoming import Inline
from couchapi.store import attachments, contents
from couchapi.store.contents import Blob, Contents
from couchapi.store.contents.files import Files
from couchapi.store.contents.rows import Rows
from couchapi.store.writes import Write
from couchapi.tests.store.conftest import Shelf

_numbers = itertools.count(10**9)


@pytest.fixture(params=["files", "rows"])
def content(request: pytest.FixtureRequest, tables: None, tmp_path: Path) -> Contents:
    """A content that nothing was written of."""
    number = next(_numbers)
    if request.param == "files":
        return Files(tmp_path / "attachments", f"{number:032x}")
    return Rows(number)


def _everything(content: Contents) -> bytes:
    read = b""
    while piece := content.read(len(read), 100_000):
        read += piece
    return read


def test_what_was_appended_is_read(content: Contents) -> None:
    pieces = [bytes([n]) * 70_001 for n in range(5)]
    for n, piece in enumerate(pieces):
        content.append(n * 70_001, piece)
    content.finish()

    assert _everything(content) == b"".join(pieces)


@pytest.mark.parametrize(("start", "at_most"), [(0, 1), (65_535, 2), (65_536, 9), (199_990, 50)])
def test_any_part_is_read(content: Contents, start: int, at_most: int) -> None:
    whole = bytes(range(200)) * 1000
    content.append(0, whole)
    content.finish()

    part = content.read(start, at_most)

    assert part
    assert part == whole[start : start + at_most][: len(part)]


def test_behind_the_end_is_nothing(content: Contents) -> None:
    content.append(0, b"abc")
    content.finish()

    assert content.read(3, 10) == b""


def test_a_content_that_was_removed_is_missing(content: Contents) -> None:
    content.append(0, b"abc")
    content.finish()

    content.remove()

    with pytest.raises(ContentMissing):
        content.read(0, 1)


def test_an_unfinished_content_is_removed_too(content: Contents) -> None:
    content.append(0, b"abc")

    content.remove()
    content.remove()

    with pytest.raises(ContentMissing):
        content.read(0, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files of a test are."""
    return tmp_path / "attachments"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_has_no_name_before_it_is_whole(folder: Path) -> None:
    file = Files(folder, "ab" * 16)

    file.append(0, b"abc")
    with pytest.raises(ContentMissing):
        file.read(0, 1)
    file.finish()

    assert [str(path.relative_to(folder)) for path in _files(folder)] == ["ab/" + "ab" * 16]


def test_nobody_else_can_read_a_file(folder: Path) -> None:
    file = Files(folder, "ab" * 16)
    file.append(0, b"abc")
    file.finish()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {"attachments": 0o700, "ab": 0o700, "ab" * 16: 0o600}


def test_bytes_and_names_are_on_the_disk_before_a_file_is_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(file: int) -> None:
        steps.append(Path(f"/proc/self/fd/{file}").readlink().name)
        real_fsync(file)

    def rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    file = Files(folder, "ab" * 16)
    file.append(0, b"abc")
    file.finish()

    assert steps == [folder.parent.name, "attachments", "ab" * 16 + ".part", "rename", "ab"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process become larger: writing then fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_refusal(folder: Path) -> None:
    file = Files(folder, "ab" * 16)

    with largest_file(100_000), pytest.raises(StorageFull):
        file.append(0, b"x" * 100_001)
    file.remove()

    assert _files(folder) == []


@pytest.fixture
def new_blob(tables: None) -> Callable[..., Blob]:
    """Make a blob with a finished content."""

    def make(now: int) -> Blob:
        blob = sql.write_sync(partial(attachments.new_blob, uploader="", now=now))
        content = contents.of(blob)
        content.append(0, b"abc")
        content.finish()
        return blob

    return make


def _is_there(blob: Blob) -> bool:
    try:
        return contents.of(blob).read(0, 1) == b"a"
    except ContentMissing:
        return False


DAY = 24 * 3600


def test_an_upload_is_given_up_after_a_day_and_cannot_be_adopted_then(
    new_blob: Callable[..., Blob],
) -> None:
    now = 5 * DAY
    old, young = new_blob(now - DAY - 1), new_blob(now - DAY + 1)

    tasks.remove_contents(now)

    assert [_is_there(blob) for blob in (old, young)] == [False, True]
    one = Attached(old.id, "text/plain", "md5-x", 3, 1)
    with pytest.raises(ContentMissing):
        sql.write_sync(partial(attachments.adopt, given=[one], document_id=1))


def test_an_upload_that_is_adopted_in_the_last_moment_stays(new_blob: Callable[..., Blob]) -> None:
    blob = new_blob(1)
    one = Attached(blob.id, "text/plain", "md5-x", 3, 1)
    sql.write_sync(partial(attachments.adopt, given=[one], document_id=next(_numbers)))

    tasks.remove_contents(5 * DAY)

    assert _is_there(blob)
    sql.write_sync(partial(attachments.remove, blobs=[blob.id]))
    tasks.remove_contents(0)
    assert not _is_there(blob)


def test_an_upload_that_was_marked_as_gone_is_not_adopted_though_its_bytes_are_here(
    new_blob: Callable[..., Blob],
) -> None:
    blob = new_blob(1)
    sql.write_sync(partial(attachments.give_up, now=5 * DAY))
    one = Attached(blob.id, "text/plain", "md5-x", 3, 1)

    with pytest.raises(ContentMissing):
        sql.write_sync(partial(attachments.adopt, given=[one], document_id=1))
    tasks.remove_contents(0)


def test_attachments_of_an_older_hub_are_counted_once(shelf: Shelf) -> None:
    step = import_module("couchapi.migrations.0004_contents").Migration.operations[-1].sql
    content = Inline(b"x" * 100, "text/plain", None)
    shelf.write(Write("a", None, False, b"{}", None, {"t": content}))

    this = f"WHERE name = '{shelf.name}'"

    def count(connection: sql.Sql) -> None:
        connection.execute(f"UPDATE couchapi_database SET body_size = 2 {this}")
        connection.execute(step)
        row = connection.one(f"SELECT body_size FROM couchapi_database {this}")
        assert row == (102,)
        raise NotFound  # Other tests' databases count theirs already.

    with pytest.raises(NotFound):
        sql.write_sync(count)
    assert shelf.row().body_size == 102


def test_housekeeping_that_was_cut_off_goes_on(new_blob: Callable[..., Blob]) -> None:
    blob = new_blob(1)
    sql.write_sync(partial(attachments.give_up, now=5 * DAY))
    contents.of(blob).remove()  # And then the power went.

    tasks.remove_contents(0)

    with pytest.raises(ContentMissing):
        sql.read_sync(partial(attachments.find, blob=blob.id))
