"""The tables of the bench, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
RECORDED = Path(__file__).with_name("recorded.json")
_BEGIN, _END = "<!-- bench: {} -->\n", "<!-- end -->\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def number(value: float | None) -> str:
    """Return a number with as many digits as it deserves."""
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}"


def times(value: float | None, of: float) -> str:
    """Return how many times `of` fits into `value`."""
    return "" if value is None else f"{value / of:.1f}"


class Recorded:
    """The figures of the last run that was written down, beside those of this one.

    They are kept as multiples of the yardstick of their run, so that a slower day is not taken
    for a slower hub.
    """

    def __init__(self, yardstick_us: float) -> None:
        self._yardstick_us = yardstick_us
        self._last: dict[str, float] = json.loads(RECORDED.read_text())
        self._now: dict[str, float] = {}

    def compare(self, name: str, cpu_us: float) -> str:
        """Note a figure, and return how much of the recorded one it is."""
        now = self._now[name] = round(cpu_us / self._yardstick_us, 4)
        last = self._last.get(name)
        return "" if last is None else f"{now / last:.2f}"

    def write(self) -> None:
        """Record the figures of this run; those that it did not measure stay."""
        RECORDED.write_text(json.dumps(self._last | self._now, indent=1, sort_keys=True) + "\n")


def write(name: str, text: str) -> None:
    """Replace the part of docs/performance.md between the comment of that name and its end."""
    document = DOCUMENT.read_text()
    before, begin, rest = document.partition(_BEGIN.format(name))
    if not begin or _END not in rest:
        raise ValueError(f"{DOCUMENT.name} has no part {_BEGIN.format(name)!r}")
    after = rest[rest.index(_END) :]
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{after}")
