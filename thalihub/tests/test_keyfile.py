"""The secret key of the pages' sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalihub import keyfile


def test_the_key_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    made = keyfile.secret_key(path)
    assert len(made) > 50
    assert keyfile.secret_key(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["secret.key"]


def test_a_key_that_is_there_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.key"
    made = keyfile.secret_key(path)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keyfile, "_create", full)
    assert keyfile.secret_key(path) == made


def test_a_disk_without_room_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        keyfile.secret_key(tmp_path / "secret.key")
    assert list(tmp_path.iterdir()) == []
