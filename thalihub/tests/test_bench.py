"""`make bench` can still be run: tiny, since how fast it is depends on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report
from bench.workloads import WORKLOADS
from thalihub.tests.hubprocess import SOURCE


def test_a_table_is_markdown() -> None:
    made = report.table(("operation", "µs"), [["GET", report.number(12.345)]])
    assert made == "| operation | µs |\n| --- | ---: |\n| GET | 12.3 |\n"


def test_a_figure_is_compared_with_the_recorded_one_as_multiples_of_the_yardstick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "recorded.json"
    kept.write_text('{"GET": 2.0, "PUT": 9.0}')
    monkeypatch.setattr(report, "RECORDED", kept)
    now = report.Recorded(50.0)
    assert now.compare("GET", 150.0) == "1.50"
    assert now.compare("new", 25.0) == ""
    now.write()
    assert json.loads(kept.read_text()) == {"GET": 3.0, "PUT": 9.0, "new": 0.5}


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
