"""The test run says what it leaves out, and a run that allows no skip fails instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import SOURCE

pytestmark = pytest.mark.slow

_TESTS = """
import os, socket, pytest

@pytest.mark.requires_docker
def test_with_docker():
    pass

@pytest.mark.nightly
def test_for_hours():
    pass

def test_data_folder_is_its_own():
    from django.conf import settings
    assert str(settings.HUB_DATA) == os.environ["HUB_DATA"] != "elsewhere"

def test_calls_out():
    socket.create_connection(("192.0.2.1", 80), timeout=1)
"""


def _run(folder: Path, *arguments: str, **environment: str) -> str:
    tests = folder / "test_inner.py"
    tests.write_text(_TESTS)
    kept = {name: value for name, value in os.environ.items() if name != "HUB_NO_SKIP"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            str(SOURCE / "pyproject.toml"),
            "-p",
            "no:cacheprovider",
        ]
        + [*arguments, str(tests)],
        cwd=SOURCE,
        # A PATH without programs.
        env=kept | {"PATH": str(folder), "HUB_DATA": "elsewhere"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


def test_a_missing_program_is_named_with_its_remedy(tmp_path: Path) -> None:
    printed = _run(tmp_path, "-k", "docker")
    assert "requires_docker: Run as root: `apt-get install docker.io" in printed
    assert "1 skipped" in printed


def test_no_skip_is_allowed_where_a_run_must_be_whole(tmp_path: Path) -> None:
    printed = _run(tmp_path, "-k", "docker", HUB_NO_SKIP="1")
    assert "HUB_NO_SKIP=1 allows no skipped test" in printed
    assert "1 error" in printed


def test_nightly_tests_run_only_when_asked_for(tmp_path: Path) -> None:
    assert "passed" not in _run(tmp_path, "-k", "hours")
    assert "1 passed" in _run(tmp_path, "-k", "hours", "--nightly")


def test_no_test_calls_the_outside(tmp_path: Path) -> None:
    printed = _run(tmp_path, "-k", "calls_out or folder")
    assert "A test tried to use socket.socket.connect() with host" in printed
    assert "1 failed, 1 passed" in printed
