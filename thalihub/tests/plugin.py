"""The test run's own rules, loaded by `addopts` in pyproject.toml: there is no top conftest.

- Every process of the run has a data folder of its own, set before Django's settings are read.
- A test marked `requires_x` is skipped, with what to install, where the program is missing.
- Under `HUB_NO_SKIP=1` a skipped test is a failed test: a run that means to be whole is whole.
- Tests marked `nightly` run only with `--nightly`.
- Files with a test marked `long` start first, so that no worker is left alone with one at the end.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from thalihub.tests import apiclient

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
CLIENTS = Path(__file__).resolve().parents[2] / "clients"
_data = tempfile.TemporaryDirectory(prefix="hub-tests-", ignore_cleanup_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Point the settings at this process's folder; pytest-django reads them right after."""
    os.environ["HUB_DATA"] = _data.name
    for name in ("DATABASE_URL", "REDIS_URL", "HUB_CONFLICT_POLICY"):
        os.environ.pop(name, None)
    if url := os.environ.get("HUB_TEST_DATABASE_URL"):
        os.environ["DATABASE_URL"] = url  # thalihub/tests/test_postgres.py says so.


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis judge what a test found, never how long it took on a busy machine.

    The fixtures of `apiclient` come after pytest-django's, one of which they replace.
    """
    config.pluginmanager.register(apiclient, "hub-apiclient")
    settings.register_profile("hub", settings.default, deadline=None)
    settings.load_profile("hub")


def pytest_unconfigure() -> None:
    """Remove the data folder."""
    _data.cleanup()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --nightly."""
    parser.addoption("--nightly", action="store_true", help="run the long fuzz tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the nightly tests out of an ordinary run, and put the long files first."""
    if not config.getoption("--nightly"):
        left_out = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
    long_files = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_sessionfinish() -> None:
    """End what tests of this process have started and share."""
    from couchapi import javascript

    javascript.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is not installed."""
    for marker in item.iter_markers():
        if marker.name in REQUIREMENTS and (missing := _missing(marker.name)):
            pytest.skip(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where no skip is allowed."""
    return _forbid_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    return _forbid_skip((yield))


def _forbid_skip(report: R) -> R:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("HUB_NO_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"HUB_NO_SKIP=1 allows no skipped test: {report.longrepr}"
    return report


@functools.cache
def _missing(marker: str) -> str:
    """Return what to do so that tests with this marker run, or an empty text."""
    is_there, advice = REQUIREMENTS[marker]
    return "" if is_there() else f"{marker}: {advice}"


def _program(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name, path=_search_path()) for name in names)


def _search_path() -> str:
    # Debian keeps PostgreSQL's server out of PATH; a plain user has no sbin in it.
    servers = sorted(str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *servers])


def _node_packages() -> bool:
    return _program("node")() and (CLIENTS / "node_modules" / "pouchdb").is_dir()


def _namespaces() -> bool:
    return os.geteuid() == 0 and _program("ip")()


def _docker() -> bool:
    programs = ("dockerd", "docker", "docker-compose", "mmdebstrap", "iptables")
    return os.geteuid() == 0 and _program(*programs)()


REQUIREMENTS: dict[str, tuple[Callable[[], bool], str]] = {
    "requires_node": (
        _node_packages,
        "Install Node.js 18 or newer with npm (`apt-get install nodejs npm`), then `make test`.",
    ),
    "requires_browser": (
        _program("chromium"),
        "Install Chromium: `apt-get install chromium`.",
    ),
    "requires_redis": (
        _program("redis-server"),
        "Install Redis: `apt-get install redis-server`.",
    ),
    "requires_postgres": (
        _program("initdb", "postgres"),
        "Install PostgreSQL: `apt-get install postgresql`.",
    ),
    "requires_tor": (_program("tor"), "Install Tor: `apt-get install tor`."),
    "requires_dbus": (
        _program("dbus-daemon"),
        "Install D-Bus: `apt-get install dbus`.",
    ),
    "requires_root": (lambda: os.geteuid() == 0, "Run as root: it mounts a file system."),
    "requires_netns": (
        _namespaces,
        "Run as root with iproute2 installed (`apt-get install iproute2`).",
    ),
    "requires_docker": (
        _docker,
        "Run as root: `apt-get install docker.io docker-compose mmdebstrap iptables`.",
    ),
}
