"""The repository keeps its own rules: layout, sizes, names, and what must not stand in it."""

from __future__ import annotations

import ast
import functools
import json
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import SOURCE
from thalihub.tests.plugin import REQUIREMENTS

TOP_LEVEL = """
    manage.py thalihub couchapi acl replication discovery templates static requirements.txt
    docker-compose.yml pyproject.toml Makefile Dockerfile README.md ARCHITECTURE.md CONTRIBUTING.md
    CHANGELOG.md LICENSE docs bench clients .ci .gitignore .gitattributes .dockerignore .env.example
"""
CODE = {".py", ".mjs", ".js", ".html", ".css", ".sh"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 45


@functools.cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(
        # A checkout that another user owns is as good.
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=SOURCE,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = (Path(name) for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if (SOURCE / path).is_file())


def code() -> Iterator[tuple[Path, str]]:
    """Yield the code that is not a test nor made by a machine."""
    for path in tracked():
        if path.suffix in CODE and not {"tests", "migrations"} & set(path.parts):
            yield path, (SOURCE / path).read_text()


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        content = (SOURCE / path).read_bytes()
        if b"\0" not in content and path.suffix != ".gz":
            yield path, content.decode()


def function_lengths() -> Iterator[tuple[str, int]]:
    for path, text in code():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_the_top_level_holds_what_was_agreed_and_nothing_else() -> None:
    assert {path.parts[0] for path in tracked()} <= set(TOP_LEVEL.split())


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {str(path): text.count("\n") for path, text in code()}
    assert {path: n for path, n in lengths.items() if n > LONGEST_FILE} == {}


@pytest.mark.slow
def test_no_function_is_longer_than_a_screen() -> None:
    assert [f for f in function_lengths() if f[1] > LONGEST_FUNCTION] == []


@pytest.mark.slow
def test_most_functions_are_short() -> None:
    lengths = [length for _, length in function_lengths()]
    assert statistics.median(lengths) <= 10
    assert statistics.quantiles(lengths, n=10)[-1] <= 30


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [str(path) for path in tracked() if path.stem in drawers] == []


# The texts are put together here, so that this file does not hold what it forbids.
# Without its slash the one but last is a package of Debian.
MACHINE_PATH = re.compile(r"(?<![\w.~:/-])/(?:" + "|".join(["work", "home", "root"]) + r")/[\w.]")
REGISTRIES = re.compile(
    "|".join(re.escape(".".join(parts)) for parts in [
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"),
        ("yarnpkg", "com"), ("crates", "io"), ("docker", "io/"), ("ghcr", "io"),
    ])
)  # fmt: skip


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRIES], ids=["paths", "registries"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = [(str(path), match[0]) for path, text in texts() for match in pattern.finditer(text)]
    assert found == []


def test_the_lock_file_names_versions_and_hashes_only() -> None:
    lock = json.loads((SOURCE / "clients" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())
    wanted = json.loads((SOURCE / "clients" / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


@pytest.mark.parametrize(
    "name", ["requirements.txt", ".ci/requirements.txt", ".ci/constraints.txt"]
)
def test_every_requirement_is_pinned(name: str) -> None:
    lines = (SOURCE / name).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r"))]
    assert wanted
    assert [line for line in wanted if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line)] == []


def test_the_constraints_agree_with_the_requirements() -> None:
    tested = set((SOURCE / ".ci/constraints.txt").read_text().lower().splitlines())
    for name in ("requirements.txt", ".ci/requirements.txt"):
        lines = (SOURCE / name).read_text().lower().splitlines()
        wanted = {re.sub(r"\[.*\]", "", line).replace("_", "-") for line in lines if "==" in line}
        assert wanted <= {line.replace("_", "-") for line in tested}


def test_every_program_that_a_test_may_require_is_known() -> None:
    settings = tomllib.loads((SOURCE / "pyproject.toml").read_text())
    markers = settings["tool"]["pytest"]["ini_options"]["markers"]
    names = {marker.partition(":")[0] for marker in markers}
    assert {name for name in names if name.startswith("requires_")} == REQUIREMENTS.keys()
    assert names - REQUIREMENTS.keys() == {"slow", "long", "nightly"}


def test_every_document_is_reached_from_the_readme() -> None:
    readme = (SOURCE / "README.md").read_text()
    documents = [str(path) for path in tracked() if path.parts[0] == "docs"]
    documents += ["ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE"]
    assert [name for name in documents if name.endswith(".md") and f"({name})" not in readme] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path, text in texts():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
            if not (SOURCE / path.parent / target).exists():
                broken.append(f"{path}: {target}")
    assert broken == []
