"""`make bench` can still be run: tiny, since how fast it is depends on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import report
from bench.workloads import WORKLOADS
from thalihub.tests.hubprocess import SOURCE


def test_a_table_is_markdown() -> None:
    made = report.table(("operation", "µs"), [["GET", report.number(12.345)]])
    assert made == "| operation | µs |\n| --- | ---: |\n| GET | 12.3 |\n"


@pytest.mark.slow
@pytest.mark.requires_node
def test_the_bench_measures_every_row() -> None:
    tiny = ["--seconds", "0.05", "--stored", "1000", "--pouchdb", "200"]
    curve = ["--scale", "--documents", "1000", "--databases", "10"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", *tiny, *curve],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for workload in WORKLOADS:
        assert f"| {workload.name} |" in done.stdout
    for line in (
        "trivial ASGI",
        "idle feed",
        "PouchDB push",
        "PouchDB pull",
        "| 1,000 |",
        "| 10 |",
    ):
        assert line in done.stdout
