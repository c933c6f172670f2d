"""The tables of the bench, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
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


def write(name: str, text: str) -> None:
    """Replace the part of docs/performance.md between the comment of that name and its end."""
    document = DOCUMENT.read_text()
    before, begin, rest = document.partition(_BEGIN.format(name))
    if not begin or _END not in rest:
        raise ValueError(f"{DOCUMENT.name} has no part {_BEGIN.format(name)!r}")
    after = rest[rest.index(_END) :]
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{after}")
