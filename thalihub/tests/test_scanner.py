"""The scanner that pages carry is the one of the pinned npm package."""

from __future__ import annotations

import pytest

from thalihub.tests.hubprocess import SOURCE
from thalihub.tests.plugin import CLIENTS


@pytest.mark.requires_node
@pytest.mark.parametrize("name", ["qr-scanner.min.js", "qr-scanner-worker.min.js", "LICENSE"])
def test_the_scanner_is_that_of_its_package(name: str) -> None:
    ours = (SOURCE / "static" / "scanner" / name).read_bytes()
    assert ours == (CLIENTS / "node_modules" / "qr-scanner" / name).read_bytes()
