"""The folder that carries tasks."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from thalihub import celery
from thalihub.processes.broker import Channel


@pytest.fixture
def channel(tmp_path: Path) -> Any:
    folders = {name: str(tmp_path / "m") for name in ("data_folder_in", "data_folder_out")}
    (tmp_path / "m").mkdir()
    options = {**folders, "control_folder": str(tmp_path / "c")}
    with Connection("filesystem://", transport_options=options) as connection:
        yield connection.channel()


def test_the_hub_uses_this_channel(channel: Any) -> None:
    assert celery.app
    assert isinstance(channel, Channel)


def test_a_message_comes_out_as_it_went_in(channel: Any) -> None:
    channel._put("normal", {"body": "é"})
    with pytest.raises(queue.Empty):
        channel._get("other")
    assert channel._get("normal") == {"body": "é"}
    with pytest.raises(queue.Empty):
        channel._get("normal")


def test_a_message_that_is_being_written_is_not_there_yet(
    channel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def slow(path: Path, text: str) -> int:
        path.touch()
        with pytest.raises(queue.Empty):
            channel._get("normal")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", slow)
    channel._put("normal", {"body": "whole"})
    assert channel._get("normal") == {"body": "whole"}
