"""Mango selectors: compile one to a function that tells whether a document matches.

CouchDB first moves field names and negations down to the conditions (mango_selector.erl), and its
answers show it: a condition on a field that the document lacks never matches, negated or not, and
only `$exists: false` asks for absence.  So `{"$not": {"a": 1}}` matches where `a` is there and
differs.  Inside `$elemMatch`, `$allMatch` and `$keyMapMatch` negation is plain.

For grants this is the safe side: a document without the field stays hidden.  Strings are in the
order of views, ICU's, so that an index and the selector agree; they are equal when they are the
same text.  `$regex` is RE2 (CouchDB: PCRE), so that a selector costs linear time whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import re2  # type: ignore[import-untyped]

from couchapi.core import collate, sortkey
from couchapi.core.errors import BadRequest
from couchapi.core.mangoerrors import MangoError

Matcher = Callable[[Any], bool]
Test = Callable[[Any], bool]

MAX_REGEX = 1000
MAX_CONDITIONS = 2000

_TYPES = {1: "null", 2: "boolean", 3: "number", 4: "string", 5: "array", 6: "object"}
MISSING = object()
_FIELD_TOKEN = re.compile(r"\\[.\\]|\.|[^.\\]+|\\")


class _Place(NamedTuple):
    """Where in a selector we are: below which field, negated or not, in an array's element."""

    path: tuple[str, ...] = ()
    negated: bool = False
    in_element: bool = False


def compile(selector: Mapping[str, Any]) -> Matcher:
    """Return the function that tells whether a document (with `_id` and `_rev`) matches.

    Raises BadRequest with Mango's reason for a selector that is none.
    """
    if not isinstance(selector, Mapping):
        raise MangoError(
            "invalid_selector_json", f"Selector must be a JSON object, not: {_text(selector)}"
        )
    _check_size(selector)
    return _selector(selector, _Place()) if selector else _always


def _check_size(selector: Mapping[str, Any]) -> None:
    """Raise BadRequest for more conditions than one request may ask of each document."""
    count, level = 0, list[Any]([selector])
    while level:
        members = [each.values() if isinstance(each, Mapping) else each for each in level]
        count += sum(len(each) for each in level if isinstance(each, Mapping))
        level = [one for within in members for one in within if isinstance(one, list | dict)]
        count += len(level)
        if count > MAX_CONDITIONS:
            raise BadRequest(f"A selector has at most {MAX_CONDITIONS} conditions.")


def _selector(selector: Any, place: _Place) -> Matcher:
    if not isinstance(selector, Mapping) or not selector:
        return _condition("$eq", selector, place)
    members = [_member(name, value, place) for name, value in selector.items()]
    return _joined(members, every=not place.negated)


def _member(name: str, value: Any, place: _Place) -> Matcher:
    if not name.startswith("$"):
        return _selector(value, place._replace(path=place.path + parse_field(name)))
    if name in ("$and", "$or", "$nor"):
        return _combination(name, value, place)
    if name == "$not":
        if not isinstance(value, Mapping):
            raise _bad_argument(name, value)
        return _negation(value, place)
    return _condition(name, value, place)


def _combination(name: str, value: Any, place: _Place) -> Matcher:
    if not isinstance(value, list):
        raise _bad_argument(name, value)
    if name != "$nor":
        members = [_selector(each, place) for each in value]
        return _joined(members, every=(name == "$and") != place.negated)
    if place.in_element:
        return _inverted(_joined([_selector(each, place) for each in value], every=False))
    inner = place._replace(negated=not place.negated)
    return _joined([_selector(each, inner) for each in value], every=not place.negated)


def _negation(value: Mapping[str, Any], place: _Place) -> Matcher:
    if place.in_element:
        return _inverted(_selector(value, place))
    return _selector(value, place._replace(negated=not place.negated))


def _condition(name: str, value: Any, place: _Place) -> Matcher:
    make = _TESTS.get(name)
    if make is None:
        if name in _UNSUPPORTED:
            raise MangoError("not_supported", f"Unsupported operator: {name}")
        raise MangoError("invalid_operator", f"Invalid operator: {name}")
    if not place.path and not place.in_element:
        raise MangoError("invalid_selector", "One or more conditions is missing a field name.")
    test = make(name, value)
    if name == "$exists":
        return _existence(place.path, wanted=value != place.negated)
    return _at(place.path, _inverted(test) if place.negated else test)


def _existence(path: tuple[str, ...], *, wanted: bool) -> Matcher:
    if not wanted:
        return lambda document: _is_absent(document, path)
    return _at(path, _always)


def _at(path: tuple[str, ...], test: Test) -> Matcher:
    """Return the matcher that tests the value at `path`; without one nothing matches."""
    if not path:
        return test
    if len(path) > 1:
        return lambda document: (found := value_at(document, path)) is not MISSING and test(found)
    name = path[0]

    def matches(document: Any) -> bool:
        if type(document) is not dict:
            found = value_at(document, path)
        else:
            found = document.get(name, MISSING)
        return found is not MISSING and test(found)

    return matches


def value_at(document: Any, path: Sequence[str]) -> Any:
    """Return the value of a field, `MISSING` where there is none."""
    value = document
    for name in path:
        value = _step(value, name)
        if value is MISSING:
            return MISSING
    return value


def _step(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isascii() and name.isdigit():
        # No array is so long that its index has more digits, and int() of many is slow.
        position = int(name) if len(name) <= 9 else len(value)
        return value[position] if position < len(value) else MISSING
    return MISSING


def _is_absent(document: Any, path: tuple[str, ...]) -> bool:
    """Tell whether an object on the way lacks the next field.

    A path that leads through something else, such as a string, is a wrong path to CouchDB: the
    field is then neither there nor absent.
    """
    value = document
    for name in path:
        if not isinstance(value, dict):
            value = _step(value, name)
            if value is MISSING:
                return False
        elif name not in value:
            return True
        else:
            value = value[name]
    return False


def parse_field(name: str) -> tuple[str, ...]:
    """Return the path that a field name stands for: `a.b` is two steps, `a\\.b` is one.

    Raises BadRequest for an empty step.
    """
    steps = [""]
    for token in _FIELD_TOKEN.findall(name):
        if token == ".":
            steps.append("")
        else:
            steps[-1] += token[1:] if token in ("\\.", "\\\\") else token
    if not all(steps):
        raise BadRequest(f"Invalid field name: {name}")
    return tuple(steps)


def _joined(members: list[Matcher], *, every: bool) -> Matcher:
    if len(members) == 1:
        return members[0]
    if every:
        return lambda document: all(matches(document) for matches in members)
    return lambda document: any(matches(document) for matches in members)


def _inverted(test: Test) -> Test:
    return lambda value: not test(value)


def _always(value: Any) -> bool:
    return True


def _never(value: Any) -> bool:
    return False


# -- conditions: each makes the test of a value that is there --------------------------------


def _equal(name: str, argument: Any) -> Test:
    kind = type(argument)
    if kind is str:
        return lambda value: value == argument
    if argument is None or kind is bool:
        return lambda value: value is argument
    if kind in (int, float):
        return lambda value: type(value) in (int, float) and value == argument
    return lambda value: collate.compare(value, argument) == 0


def _not_equal(name: str, argument: Any) -> Test:
    return _inverted(_equal(name, argument))


def _ordered(name: str, argument: Any) -> Test:
    compare, strings = collate.compare, sortkey.compare_strings
    if name == "$lt":
        return lambda value: compare(value, argument, strings) < 0
    if name == "$lte":
        return lambda value: compare(value, argument, strings) <= 0
    if name == "$gt":
        return lambda value: compare(value, argument, strings) > 0
    return lambda value: compare(value, argument, strings) >= 0


def _in(name: str, argument: Any) -> Test:
    if not isinstance(argument, list):
        raise _bad_argument(name, argument)
    atoms, tests = _split(argument)

    def holds(value: Any) -> bool:
        # Of an array, one element has to be among them.
        candidates = value if isinstance(value, list) else (value,)
        return any(_atom(each) in atoms or _passes(each, tests) for each in candidates)

    return holds if name == "$in" else _inverted(holds)


def _split(values: list[Any]) -> tuple[frozenset[Any], list[Test]]:
    """Return the atoms among `values`, and a test for each other one.

    A selector may name thousands of ids and a document hold as many: they meet in a set, or one
    request would cost the product of both.
    """
    atoms = frozenset(_atom(each) for each in values if not isinstance(each, list | dict))
    return atoms, [_equal("$eq", each) for each in values if isinstance(each, list | dict)]


def _atom(value: Any) -> Any:
    """Return what is equal for equal atoms only; of an array or object, what no atom equals."""
    kind = type(value)
    if kind is int or kind is float:
        return value
    return () if kind is list or kind is dict else (kind, value)


def _passes(value: Any, tests: list[Test]) -> bool:
    return bool(tests) and isinstance(value, list | dict) and any(test(value) for test in tests)


def _exists(name: str, argument: Any) -> Test:
    if not isinstance(argument, bool):
        raise _bad_argument(name, argument)
    return _always


def _type(name: str, argument: Any) -> Test:
    if not isinstance(argument, str):
        raise _bad_argument(name, argument)
    return lambda value: _TYPES[collate.rank(value)] == argument


def _size(name: str, argument: Any) -> Test:
    if not _is_integer(argument) or argument < 0:
        raise _bad_argument(name, argument)
    return lambda value: isinstance(value, list) and len(value) == argument


def _mod(name: str, argument: Any) -> Test:
    if not (isinstance(argument, list) and len(argument) == 2 and all(map(_is_integer, argument))):
        raise _bad_argument(name, argument)
    divisor, remainder = argument
    if divisor == 0:
        raise _bad_argument(name, argument)

    def holds(value: Any) -> bool:
        if not _is_integer(value):
            return False
        rest = abs(value) % abs(divisor)
        return bool((rest if value >= 0 else -rest) == remainder)  # Erlang's rem

    return holds


def _regex(name: str, argument: Any) -> Test:
    if not isinstance(argument, str) or len(argument) > MAX_REGEX:
        raise _bad_argument(name, argument)
    options = re2.Options()
    options.log_errors = False
    try:
        search = re2.compile(argument, options=options).search
    except re2.error:
        raise _bad_argument(name, argument) from None
    return lambda value: isinstance(value, str) and search(value) is not None


def _begins_with(name: str, argument: Any) -> Test:
    if not isinstance(argument, str):
        raise _bad_argument(name, argument)
    return lambda value: isinstance(value, str) and value.startswith(argument)


def _all(name: str, argument: Any) -> Test:
    if not isinstance(argument, list):
        raise _bad_argument(name, argument)
    atoms, tests = _split(argument)
    # `{"$all": [[1, 2]]}` also matches the very array [1, 2].
    itself = tests[0] if len(argument) == 1 and isinstance(argument[0], list) else _never

    def holds(value: Any) -> bool:
        if not isinstance(value, list):
            return False
        found = atoms <= set(map(_atom, value)) if atoms else True
        return (found and all(any(map(test, value)) for test in tests)) or itself(value)

    return holds


def _elements(name: str, argument: Any) -> Test:
    if not isinstance(argument, Mapping):
        raise _bad_argument(name, argument)
    matches = _selector(argument, _Place(in_element=True))
    if name == "$elemMatch":
        return lambda value: isinstance(value, list) and any(map(matches, value))
    if name == "$allMatch":
        return lambda value: isinstance(value, list) and bool(value) and all(map(matches, value))
    return lambda value: isinstance(value, dict) and any(map(matches, value))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _bad_argument(name: str, argument: Any) -> MangoError:
    return MangoError("bad_arg", f"Bad argument for operator {name}: {_text(argument)}")


_UNSUPPORTED = frozenset(
    {"$where", "$text", "$geoWithin", "$geoIntersects", "$near", "$nearSphere"}
)
_TESTS: Mapping[str, Callable[[str, Any], Test]] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$lt": _ordered,
    "$lte": _ordered,
    "$gt": _ordered,
    "$gte": _ordered,
    "$in": _in,
    "$nin": _in,
    "$exists": _exists,
    "$type": _type,
    "$size": _size,
    "$mod": _mod,
    "$regex": _regex,
    "$beginsWith": _begins_with,
    "$all": _all,
    "$elemMatch": _elements,
    "$allMatch": _elements,
    "$keyMapMatch": _elements,
}
