"""How fast a run comes nearer to its end."""

from __future__ import annotations

from thalihub.pace import Pace, Progress


def test_the_rate_is_known_after_a_while():
    pace = Pace()
    assert pace.saw(1, 1000, 10.0) == Progress(0, 1000, 0)
    assert pace.saw(1, 900, 11.0) == Progress(100, 1000, 0)
    assert pace.saw(1, 600, 14.0) == Progress(400, 1000, 100)


def test_each_run_begins_anew():
    pace = Pace()
    pace.saw(1, 10, 10.0)
    assert pace.saw(2, 5, 11.0).total == 5
    assert pace.saw(1, 30, 12.0) == Progress(0, 30, 0)
    pace.ended(1)
    assert pace.saw(1, 20, 13.0) == Progress(0, 20, 0)
    assert pace.saw(1, 10, 200.0) == Progress(0, 10, 0)
