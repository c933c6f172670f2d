"""Which index serves a Mango query, and which part of it has to be read.

An index serves a query if no matching document can be missing in it, and if it is in the order
that is asked for.  The first is so when the selector demands every one of its fields; the second
when the fields to sort by follow each other in it, after those whose value is fixed.  Of those
that serve, the one is chosen of which the selector bounds most fields, then the one with fewest
fields, then the first by name: CouchDB's order, so that a query does the same everywhere
(CouchDB docs, "api/database/find", "Explain").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from couchapi.core import mango, sortkey
from couchapi.core.mangoindex import Index

Path = tuple[str, ...]
_BOUNDS = frozenset({"$eq", "$gt", "$gte", "$lt", "$lte"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index, and why it does not serve; it serves where there is no reason."""

    index: Index
    reasons: tuple[str, ...]
    bounded: int
    """Of how many of its first fields the selector bounds the values."""

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """What the best has least of."""
        columns = len(self.index.columns)
        return columns - self.bounded, columns, self.index.ddoc or "", self.index.name


def candidates(
    indexes: Sequence[Index],
    selector: Mapping[str, Any],
    sort: Sequence[tuple[str, str]],
    *,
    named: bool,
) -> list[Candidate]:
    """Judge the indexes for a query; `named` tells that the query chose them itself.

    One with a partial filter serves only who names it: nobody else can know what is in it.
    """
    conditions = _by_path(selector)
    demanded = _demanded(selector)
    return [_judged(index, conditions, demanded, sort, named) for index in indexes]


def best(judged: Sequence[Candidate]) -> Candidate | None:
    """Return the index to use among those that serve, None where there is none."""
    return min((one for one in judged if not one.reasons), key=lambda one: one.rank, default=None)


def serves_alone(sort: Sequence[tuple[str, str]]) -> bool:
    """Tell whether reading all documents is in the order that is asked for."""
    return not sort or [field for field, _ in sort] == ["_id"]


class Span(NamedTuple):
    """The sort keys of an index between which everything stands that can match."""

    low: bytes
    high: bytes


def span(index: Index, selector: Mapping[str, Any]) -> Span:
    """Return the part of an index that has to be read."""
    conditions = _by_path(selector)
    begin = sortkey.encode([])[:-1]
    for column in index.columns:
        bounds = conditions.get(mango.parse_field(column), ())
        fixed = [argument for name, argument in bounds if name == "$eq"]
        if not fixed:
            return _between(begin, bounds)
        begin += sortkey.encode(fixed[0])
    return Span(begin, begin + sortkey.MAX)


def id_bounds(selector: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the first and the last document id that can match, None for no bound."""
    low = high = None
    for name, argument in _by_path(selector).get(("_id",), ()):
        if not isinstance(argument, str) or "\0" in argument:
            continue
        if name in ("$eq", "$gt", "$gte"):
            low = argument if low is None else max(low, argument)
        if name in ("$eq", "$lt", "$lte"):
            high = argument if high is None else min(high, argument)
    return low, high


def normalized(selector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the selector as `_explain` shows it: one condition to a field, joined by `$and`."""
    members = [_shown(name, value, ()) for name, value in selector.items()]
    return members[0] if len(members) == 1 else {"$and": members} if members else {}


def _shown(name: str, value: Any, path: Path) -> dict[str, Any]:
    if name in ("$and", "$or", "$nor"):
        return {name: [normalized(each) if isinstance(each, dict) else each for each in value]}
    if name.startswith("$"):
        return {name: value} if not path else {_written(path): {name: value}}
    path = path + mango.parse_field(name)
    if not isinstance(value, dict) or not value:
        return {_written(path): {"$eq": value}}
    members = [_shown(inner, each, path) for inner, each in value.items()]
    return members[0] if len(members) == 1 else {"$and": members}


def _written(path: Path) -> str:
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in path)


def _between(begin: bytes, bounds: Sequence[tuple[str, Any]]) -> Span:
    low, high = begin, begin + sortkey.MAX
    for name, argument in bounds:
        at = begin + sortkey.encode(argument)
        if name == "$gte":
            low = max(low, at)
        elif name == "$gt":
            low = max(low, at + sortkey.MAX)
        elif name == "$lt":
            high = min(high, at)
        elif name == "$lte":
            high = min(high, at + sortkey.MAX)
    return Span(low, high)


def _judged(
    index: Index,
    conditions: Mapping[Path, Sequence[tuple[str, Any]]],
    demanded: frozenset[Path],
    sort: Sequence[tuple[str, str]],
    named: bool,
) -> Candidate:
    paths = [mango.parse_field(column) for column in index.columns]
    sorted_by = [mango.parse_field(field) for field, _ in sort]
    reasons = []
    if index.partial != b"{}" and not named:
        reasons.append("is_partial")
    if any(path not in demanded and path not in sorted_by for path in paths if path != ("_id",)):
        reasons.append("field_mismatch")
    fixed = {path for path, bounds in conditions.items() if any(n == "$eq" for n, _ in bounds)}
    if not _in_order(paths, sorted_by, fixed):
        reasons.append("sort_order_mismatch")
    return Candidate(index, tuple(reasons), _bounded(paths, conditions))


def _bounded(paths: Sequence[Path], conditions: Mapping[Path, Sequence[tuple[str, Any]]]) -> int:
    for number, path in enumerate(paths):
        if path not in conditions:
            return number
    return len(paths)


def _in_order(paths: Sequence[Path], sorted_by: Sequence[Path], fixed: set[Path]) -> bool:
    if not sorted_by:
        return True
    for at, path in enumerate(paths):
        if list(paths[at : at + len(sorted_by)]) == list(sorted_by):
            return True
        if path not in fixed:
            return False
    return False


def _by_path(selector: Mapping[str, Any]) -> dict[Path, list[tuple[str, Any]]]:
    """Return the bounds that every matching document keeps to, by field."""
    found: dict[Path, list[tuple[str, Any]]] = {}
    for path, name, argument in _conditions(selector, ()):
        if name in _BOUNDS:
            found.setdefault(path, []).append((name, argument))
    return found


def _demanded(selector: Mapping[str, Any]) -> frozenset[Path]:
    """Return the fields that every matching document has."""
    always = {
        path
        for path, name, argument in _conditions(selector, ())
        if not (name == "$exists" and argument is False)
    }
    for branches in _branches(selector):
        sets = [_demanded(branch) for branch in branches]
        if sets:
            always |= frozenset.intersection(*sets)
    return frozenset(always)


def _branches(selector: Mapping[str, Any]) -> Iterator[list[Mapping[str, Any]]]:
    for name, value in selector.items():
        if name == "$or":
            yield value
        elif name == "$and":
            for each in value:
                yield from _branches(each)


def _conditions(selector: Any, path: Path) -> Iterator[tuple[Path, str, Any]]:
    """Give the conditions that all have to hold; those under `$or`, `$not`, `$nor` need not."""
    for name, value in selector.items():
        if name == "$and":
            for each in value:
                if isinstance(each, dict):
                    yield from _conditions(each, path)
        elif name in ("$or", "$nor", "$not"):
            continue
        elif name.startswith("$"):
            yield path, name, value
        elif isinstance(value, dict) and value:
            yield from _conditions(value, path + mango.parse_field(name))
        else:
            yield path + mango.parse_field(name), "$eq", value
