"""The documents say what the code does."""

from __future__ import annotations

import re

from thalihub.tests.hubprocess import SOURCE

_READ = re.compile(r"env\.(?:read\.\w+|folder|port|database|url)\(\s*\"([A-Z_]+)\"")
_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_every_variable_that_the_settings_read_is_described() -> None:
    read = _READ.findall((SOURCE / "thalihub" / "settings.py").read_text())
    described = _ROW.findall((SOURCE / "docs" / "settings.md").read_text())
    assert read
    assert sorted(described) == sorted(read)


def test_every_command_is_described() -> None:
    ours = SOURCE.glob("*/management/commands/[a-z]*.py")
    described = re.findall(r"`([a-z-]+)", (SOURCE / "docs" / "command-line.md").read_text())
    assert {path.stem for path in ours} <= set(described)


def test_every_make_target_of_the_contributors_guide_exists() -> None:
    makefile = (SOURCE / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"^    make ([a-z-]+)", (SOURCE / "CONTRIBUTING.md").read_text(), re.M))
    assert {"hub", "test", "test-fast", "lint", "format", "bench"} <= named <= targets


def test_every_picture_is_taken_by_the_program_and_shown_somewhere() -> None:
    folder = SOURCE / "docs" / "pictures"
    shown = set(re.findall(r"pictures/([a-z-]+)\.png", (SOURCE / "docs" / "tour.md").read_text()))
    assert {path.stem for path in folder.iterdir()} == shown
    source = (SOURCE / "thalihub" / "tests" / "pictures.py").read_text()
    assert set(re.findall(r"Shot\(\s*\"([a-z-]+)\"", source)) == shown
