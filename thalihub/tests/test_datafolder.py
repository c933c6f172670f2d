"""One hub on one data folder, and a file that says where it serves."""

import json
import os

import pytest

from thalihub import datafolder


def test_second_lock_is_refused_and_names_the_holder(tmp_path):
    with datafolder.lock(tmp_path), pytest.raises(datafolder.AlreadyRunningError) as refusal:
        datafolder.lock(tmp_path)
    assert f"process {os.getpid()}" in str(refusal.value)


def test_lock_ends_with_its_holder(tmp_path):
    datafolder.lock(tmp_path).close()
    datafolder.lock(tmp_path).close()


def test_announcement_replaces_what_a_killed_hub_left(tmp_path):
    (tmp_path / "hub.json").write_text("torn {")
    datafolder.announce(tmp_path, {"pid": 1})
    assert json.loads((tmp_path / "hub.json").read_text()) == {"pid": 1}


def test_withdrawing_twice_is_no_error(tmp_path):
    datafolder.announce(tmp_path, {"pid": 1})
    datafolder.withdraw(tmp_path)
    datafolder.withdraw(tmp_path)
    assert not (tmp_path / "hub.json").exists()


@pytest.mark.parametrize("text", [None, "torn {", "[1"])
def test_a_hub_that_does_not_serve_says_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / "hub.json").write_text(text)
    assert datafolder.facts_of(tmp_path) == {}
