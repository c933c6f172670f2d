"""What is sealed opens by its passphrase only, and only as it was written."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl.core.errors import RefusedError
from thalihub.backups import frames
from thalihub.backups.sealing import (
    Damaged,
    NoBackup,
    Opener,
    Sealer,
    WrongPassphrase,
    lock_from,
    new_lock,
    unlocked,
)

PASSPHRASE = "correct horse battery"
PRIVATE = bytes(range(32))
LOCK = new_lock(PASSPHRASE, private=PRIVATE, salt=bytes(16), cost=2**4)
CHUNK = 64 * 1024


def sealed(*pieces: bytes) -> bytes:
    file = io.BytesIO()
    sealer = Sealer(file.write, LOCK, bytes(reversed(range(32))))
    for piece in pieces:
        sealer.write(piece)
    sealer.close()
    return file.getvalue()


def opened(file: bytes) -> bytes:
    opener = Opener(io.BytesIO(file).read)
    return b"".join(opener.chunks(opener.key(unlocked(opener.lock, PASSPHRASE))))


def head_length(file: bytes) -> int:
    return 13 + 4 + int.from_bytes(file[13:17], "big")


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_was_sealed_comes_back(length: int) -> None:
    plain = bytes(length)
    assert opened(sealed(plain)) == plain


def test_a_file_that_was_cut_off_is_noticed_wherever_that_was() -> None:
    file = sealed(bytes(2 * CHUNK + 5))
    begin = head_length(file)
    ends = [begin, begin + 5, begin + CHUNK + 16, begin + 2 * (CHUNK + 16), len(file) - 1]
    for end in ends:
        with pytest.raises(Damaged):
            opened(file[:end])


def test_chunks_that_are_swapped_repeated_or_added_are_noticed() -> None:
    file = sealed(bytes(2 * CHUNK + 5))
    head, rest = file[: head_length(file)], file[head_length(file) :]
    size = CHUNK + 16
    first, second, last = rest[:size], rest[size : 2 * size], rest[2 * size :]
    for parts in ([second, first, last], [first, first, last], [first, last], [*[rest], b"x"]):
        with pytest.raises(Damaged):
            opened(head + b"".join(parts))


@settings(max_examples=60)
@given(st.data())
def test_no_changed_byte_is_overlooked(data: st.DataObject) -> None:
    file = bytearray(sealed(b"documents"))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    # A cost of scrypt that came out larger than any hub takes is no backup, and not tried.
    with pytest.raises((Damaged, NoBackup, WrongPassphrase)):
        opened(bytes(file))


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(WrongPassphrase):
        unlocked(LOCK, PASSPHRASE + " ")
    with pytest.raises(RefusedError, match="at least 12"):
        new_lock("short", private=PRIVATE, salt=bytes(16))


def test_a_chunk_of_another_file_does_not_fit() -> None:
    file, other = io.BytesIO(), sealed(b"one")
    sealer = Sealer(file.write, LOCK, bytes(32))
    sealer.write(b"two")
    sealer.close()
    mixed = other[: head_length(other)] + file.getvalue()[head_length(file.getvalue()) :]
    with pytest.raises(Damaged):
        opened(mixed)


@pytest.mark.parametrize("file", [b"", b"SQLite format 3\0", b"THALI-BACKUP\n", b"PK\3\4" * 99])
def test_a_foreign_file_is_no_backup(file: bytes) -> None:
    with pytest.raises(NoBackup):
        opened(file)


def test_a_lock_is_kept_as_text() -> None:
    assert lock_from(LOCK.as_text()) == LOCK
    assert PASSPHRASE not in LOCK.as_text()
    with pytest.raises(NoBackup):
        lock_from(json.dumps({"public": "AA=="}))


FRAMES = [
    frames.told(frames.TABLE, {"name": "t", "columns": []}),
    frames.packed_rows([[1, "é", None, b"\0\xff", 2**62, True, 0.5]]),
    frames.told(frames.END, {}),
]


@given(st.integers(1, 40))
def test_frames_come_back_however_the_stream_is_cut(size: int) -> None:
    stream = b"".join(FRAMES)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    _, rows, end = frames.read(pieces)
    assert rows.rows == [[1, "é", None, b"\0\xff", 2**62, True, 0.5]]
    assert end.kind == frames.END


def test_a_stream_without_its_end_or_with_more_is_damaged() -> None:
    for stream in (b"".join(FRAMES[:-1]), b"".join(FRAMES) + b"x"):
        with pytest.raises(Damaged):
            list(frames.read([stream]))
