"""What the tests of the whole share: a running hub for each module."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from thalihub.tests.hubprocess import HubProcess


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub; it must end in order."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    hub.start()
    yield hub
    assert hub.stop() == 0, hub.log_end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the hub's log with a failure."""
    report = yield
    hub = getattr(item, "funcargs", {}).get("hub")
    if report.failed and isinstance(hub, HubProcess):
        report.sections.append(("the hub's log", hub.log_end()))
    return report
