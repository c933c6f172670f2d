"""Groups of views, and CouchDB's own reduce functions (CouchDB docs, "ddocs/ddocs").

The views of a design document are one group: their rows are made in one go and kept in one index.
Its signature stands for all that the rows depend on, so groups that are alike share an index.
Views with the same map function share their rows too.

A reduce function makes a state of rows, and one state of several; what is shown is made of the
last one.  States are JSON text, so that they can be kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from couchapi.core import hyperloglog
from couchapi.core.errors import BadRequest, NotFound

Row = tuple[bytes, str, int, bytes, bytes]
"""Sort key, document id, n, key, value (store/indexes.py)."""

_OF_ROWS = ("language", "options", "views")
_FUNCTIONS = (*_OF_ROWS, "filters", "validate_doc_update")


class View(NamedTuple):
    """One view: the number of its rows in the index, and what reduces them."""

    name: str
    number: int
    reduce: str | None


class Group(NamedTuple):
    """The views of one design document.

    `maps` are the places, among the views by name, of those whose rows are kept.
    """

    signature: str
    language: str
    views: Mapping[str, View]
    maps: Sequence[int]
    functions: bytes
    include_design: bool
    local_seq: bool

    def view(self, name: str) -> View:
        """Return a view; raises NotFound."""
        found = self.views.get(name)
        if found is None:
            raise NotFound("missing_named_view")
        return found


def group(design: Mapping[str, Any]) -> Group:
    """Return the views of a design document; what is no view is left out."""
    defined = design.get("views")
    maps: dict[str, int] = {}
    places: list[int] = []
    views: dict[str, View] = {}
    for place, (name, view) in enumerate(_mapped(defined)):
        source = orjson.dumps(view["map"], option=orjson.OPT_SORT_KEYS).decode()
        if source not in maps:
            maps[source] = len(maps)
            places.append(place)
        reduce = view.get("reduce")
        reduce = reduce.strip() if isinstance(reduce, str) else ""
        views[name] = View(name, maps[source], reduce or None)
    options = design.get("options")
    options = options if isinstance(options, dict) else {}
    return Group(
        _signature({name: design[name] for name in _OF_ROWS if name in design}),
        str(design.get("language", "javascript")),
        views,
        places,
        functions(design),
        options.get("include_design") is True,
        options.get("local_seq") is True,
    )


def functions(design: Mapping[str, Any]) -> bytes:
    """Return the canonical text of a design document's functions, to run them."""
    chosen = {name: design[name] for name in _FUNCTIONS if name in design}
    return orjson.dumps(chosen, option=orjson.OPT_SORT_KEYS)


def parse(text: bytes | str) -> Any:
    """Return the value of JSON that a function made: it may hold halves of characters."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _mapped(defined: object) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(defined, dict):
        return []
    return [
        (name, view)
        for name, view in sorted(defined.items())
        if name != "lib" and isinstance(view, dict) and "map" in view
    ]


def _signature(parts: Mapping[str, Any]) -> str:
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class Reducer(NamedTuple):
    """A reduce function of CouchDB's own; without `show` the state itself is shown."""

    reduce: Callable[[Sequence[Row]], Any]
    rereduce: Callable[[Sequence[Any]], Any]
    show: Callable[[Any], Any] | None = None


def builtin(source: str) -> Reducer | None:
    """Return CouchDB's function of that name, None for JavaScript; raises BadRequest."""
    if not source.startswith("_"):
        return None
    for name, reducer in _BUILTIN.items():
        if source == name or source.startswith(name + " "):
            return reducer
    raise BadRequest(f"`{source[:100]}` is not a supported reduce function.")


def dumps(value: Any) -> bytes:
    """Return JSON text; integers may have any length."""
    try:
        return orjson.dumps(value)
    except TypeError:  # An integer of more than 64 bits, such as a sum of squares.
        return json.dumps(value, separators=(",", ":")).encode()


def loads(text: str) -> Any:
    """Return what `dumps` wrote."""
    return json.loads(text)


def _values(rows: Sequence[Row]) -> list[Any]:
    found: list[Any] = parse(b"[%s]" % b",".join([row[4] for row in rows]))
    return found


# -- _sum ------------------------------------------------------------------------------------------

_SUM_ERROR = (
    "The _sum function requires that map values be numbers, arrays of numbers, or objects. "
    "Objects cannot be mixed with other data structures. Objects can be arbitrarily nested, "
    "provided that the values for all fields are themselves numbers, arrays of numbers, or objects."
)
_ERROR = "builtin_reduce_error"
_LARGE_SUM = 4906
_NUMBERS = frozenset({int, float})


class _NotSummable(Exception):
    """What is shown in the place of a sum."""

    def __init__(self, **shown: Any) -> None:
        self.shown = {"error": _ERROR, **shown}


def _sum_rows(rows: Sequence[Row]) -> Any:
    total = _sum(_values(rows))
    return _limited(total, sum([len(row[3]) + len(row[4]) for row in rows]))


def _sum(values: Sequence[Any]) -> Any:
    if _NUMBERS.issuperset(map(type, values)):
        return sum(values)
    total: Any = 0
    try:
        for value in values:
            total = _added(value, total)
    except _NotSummable as error:
        return error.shown
    return total


def _added(value: Any, total: Any) -> Any:
    if type(value) is dict:
        return _added_object(value, total)
    if type(value) not in _NUMBERS and type(value) is not list:
        raise _NotSummable(reason=_SUM_ERROR, caused_by=value)
    if type(total) is dict:
        raise _NotSummable(reason=_SUM_ERROR, caused_by=value)
    if type(value) is list or type(total) is list:
        return _added_arrays(*[one if type(one) is list else [one] for one in (total, value)])
    return total + value


def _added_object(value: dict[str, Any], total: Any) -> Any:
    if value.get("error") == _ERROR:
        raise _NotSummable(**value)
    if type(total) is dict:
        return {
            name: _added(value[name], total[name])
            if name in value and name in total
            else value.get(name, total.get(name))
            for name in sorted({*value, *total})
        }
    if type(total) in _NUMBERS and total == 0:
        return value
    raise _NotSummable(reason=_SUM_ERROR, caused_by=value)


def _added_arrays(left: list[Any], right: list[Any]) -> list[Any]:
    common = min(len(left), len(right))
    for pair in (left[:common], right[:common]):
        if not _NUMBERS.issuperset(map(type, pair)):
            raise _NotSummable(reason=_SUM_ERROR, caused_by=pair)
    sums = [one + other for one, other in zip(left, right, strict=False)]
    return sums + left[common:] + right[common:]


def _limited(total: Any, read: int) -> Any:
    """Refuse a sum that grows with its rows (CouchDB's `reduce_limit`)."""
    if type(total) in _NUMBERS:
        return total
    size = len(dumps(total))
    if size <= _LARGE_SUM or size * 2 <= read:
        return total
    reason = f"Reduce output must shrink more rapidly: input size: {read} output size: {size}"
    return {"error": _ERROR, "reason": reason}


# -- _stats ----------------------------------------------------------------------------------------

_STATS = ("sum", "count", "min", "max", "sumsqr")


def _stats_rows(rows: Sequence[Row]) -> Any:
    values = _values(rows)
    if not values or not _NUMBERS.issuperset(map(type, values)):
        return _stats(values)
    squares = sum([value * value for value in values])
    return _packed(sum(values), len(values), min(values), max(values), squares)


def _stats(values: Sequence[Any]) -> Any:
    try:
        states = [_state(value) for value in values]
        total = states[0]
        for state in states[1:]:
            total = _joined(state, total)
    except _NotSummable as error:
        return error.shown
    return total


def _state(value: Any) -> Any:
    """Return the statistics of one value: a number, statistics, or an array of such."""
    if type(value) in _NUMBERS:
        return _packed(value, 1, value, value, value * value)
    if type(value) is list:
        return [_state(each) for each in value]
    if type(value) is dict and value.get("error") == _ERROR:
        raise _NotSummable(**value)
    if type(value) is dict and all(type(value.get(name)) in _NUMBERS for name in _STATS):
        return {name: value[name] for name in _STATS}
    raise _not_statistics(value)


def _joined(one: Any, other: Any) -> Any:
    if type(one) is list and type(other) is list and len(one) == len(other):
        return [_joined(*pair) for pair in zip(one, other, strict=True)]
    if type(one) is list or type(other) is list:
        raise _not_statistics(one)
    return _packed(
        one["sum"] + other["sum"],
        one["count"] + other["count"],
        min(one["min"], other["min"]),
        max(one["max"], other["max"]),
        one["sumsqr"] + other["sumsqr"],
    )


def _packed(*values: Any) -> dict[str, Any]:
    return dict(zip(_STATS, values, strict=True))


def _not_statistics(value: Any) -> _NotSummable:
    shown = dumps(value)[:200].decode("utf-8", "replace")
    return _NotSummable(
        reason="The _stats function requires that map values be numbers or arrays of numbers,"
        f" not '{shown}'"
    )


# -- _approx_count_distinct ------------------------------------------------------------------------


def _distinct_rows(rows: Sequence[Row]) -> str:
    return hyperloglog.encode(hyperloglog.of(row[0] for row in rows))


def _distinct(states: Sequence[str]) -> str:
    return hyperloglog.encode(hyperloglog.union(map(hyperloglog.decode, states)))


def _count_distinct(state: str) -> int:
    return hyperloglog.estimate(hyperloglog.decode(state))


_BUILTIN = {
    "_count": Reducer(len, sum),
    "_sum": Reducer(_sum_rows, _sum),
    "_stats": Reducer(_stats_rows, _stats),
    "_approx_count_distinct": Reducer(_distinct_rows, _distinct, _count_distinct),
}
