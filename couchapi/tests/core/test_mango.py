"""Selectors match as in CouchDB; an evaluator that follows its three steps one by one agrees."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from couchapi.core import collate, mango
from couchapi.core.errors import BadRequest

DOC: dict[str, Any] = {
    "_id": "a",
    "name": "Anna",
    "age": 41,
    "ok": True,
    "none": None,
    "tags": ["x", "y", 3],
    "deep": {"er": {"est": 1}, "dot.ted": 2},
    "pairs": [{"k": 1, "v": 2}, {"k": 3}],
    "empty": [],
}


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"name": "Anna"},
        {"name": "Anna", "age": {"$gt": 40, "$lt": 42}},
        {"name": {"$eq": "Anna"}},
        {"age": 41.0},
        {"ok": True, "none": None},
        {"age": {"$ne": 40}},
        {"age": {"$lt": "a"}},
        {"name": {"$gt": 99}},
        {"tags": {"$gt": "zzz"}},
        {"deep": {"$gt": []}},
        {"name": {"$in": ["Bob", "Anna"]}},
        {"tags": {"$in": ["y"]}},
        {"name": {"$nin": ["Bob"]}},
        {"name": {"$exists": True}},
        {"gone": {"$exists": False}},
        {"deep.gone": {"$exists": False}},
        {"age": {"$type": "number"}},
        {"none": {"$type": "null"}},
        {"deep": {"$type": "object"}},
        {"tags": {"$size": 3}},
        {"empty": {"$size": 0}},
        {"age": {"$mod": [10, 1]}},
        {"name": {"$regex": "n{2}"}},
        {"name": {"$regex": "^(?i)anna$"}},
        {"name": {"$beginsWith": "An"}},
        {"deep.er.est": 1},
        {"deep": {"er": {"est": 1}}},
        {"deep": {"er.est": {"$gte": 1}}},
        {"deep.dot\\.ted": 2},
        {"tags.1": "y"},
        {"tags": {"$all": ["x", 3]}},
        {"tags": {"$all": [["x", "y", 3]]}},
        {"tags": ["x", "y", 3]},
        {"tags": {"$elemMatch": {"$eq": "x"}}},
        {"pairs": {"$elemMatch": {"k": 1, "v": 2}}},
        {"pairs": {"$allMatch": {"k": {"$gt": 0}}}},
        {"deep": {"$keyMapMatch": {"$eq": "er"}}},
        {"$or": [{"name": "Bob"}, {"age": 41}]},
        {"$and": [{"name": "Anna"}, {"age": 41}]},
        {"$nor": [{"name": "Bob"}, {"age": 40}]},
        {"$not": {"name": "Bob"}},
        {"age": {"$not": {"$lt": 41}}},
        {"age": {"$or": [1, 41]}},
        {"$not": {"$not": {"name": "Anna"}}},
        {"$not": {"gone": {"$exists": True}}},
        {"$not": {"$or": [{"name": "Bob"}, {"age": 1}]}},
    ],
)
def test_these_match(selector: dict[str, Any]) -> None:
    assert mango.compile(selector)(DOC)


@pytest.mark.parametrize(
    "selector",
    [
        {"name": "anna"},
        {"age": "41"},
        {"ok": 1},
        {"age": True},
        {"none": False},
        {"gone": None},
        {"gone": {"$ne": 1}},
        {"$not": {"gone": 1}},
        {"$nor": [{"gone": 1}]},
        {"gone": {"$not": {"$regex": "x"}}},
        {"gone": {"$nin": [1]}},
        {"name": {"$exists": False}},
        {"name.first": {"$exists": False}},
        {"name": {"$gt": "Anna"}},
        {"name": {"$lt": 1}},
        {"tags": {"$nin": ["y"]}},
        {"tags": {"$in": [["x", "y", 3]]}},
        {"tags": {"$size": 2}},
        {"age": {"$mod": [10, 2]}},
        {"name": {"$mod": [10, 1]}},
        {"age": {"$regex": "4"}},
        {"age": {"$beginsWith": "4"}},
        {"name": {"$regex": "^nna"}},
        {"tags.3": {"$exists": True}},
        {"tags.-1": 3},
        {"tags": {"$all": ["x", "z"]}},
        {"name": {"$all": ["Anna"]}},
        {"empty": {"$allMatch": {"$gt": 0}}},
        {"pairs": {"$elemMatch": {"k": 3, "v": {"$gt": 0}}}},
        {"pairs": {"$allMatch": {"v": 2}}},
        {"name": {"$elemMatch": {"$eq": "A"}}},
        {"tags": {"$keyMapMatch": {"$eq": "x"}}},
        {"$or": []},
        {"deep": {}},
    ],
)
def test_these_do_not_match(selector: dict[str, Any]) -> None:
    assert not mango.compile(selector)(DOC)


def test_inside_an_array_negation_is_plain() -> None:
    assert mango.compile({"pairs": {"$elemMatch": {"$not": {"v": 2}}}})(DOC)
    assert mango.compile({"pairs": {"$allMatch": {"$nor": [{"v": 9}]}}})(DOC)


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ([], "Selector must be a JSON object, not: []"),
        ({"a": {"$foo": 1}}, "Invalid operator: $foo"),
        ({"$text": "x"}, "Unsupported operator: $text"),
        ({"a": {"$where": "x"}}, "Unsupported operator: $where"),
        ({"$gt": 5}, "One or more conditions is missing a field name."),
        ({"$and": [{"$gt": 5}]}, "One or more conditions is missing a field name."),
        ({"$and": [{}]}, "One or more conditions is missing a field name."),
        ({"$or": [7]}, "One or more conditions is missing a field name."),
        ({"a": {"$in": 1}}, "Bad argument for operator $in: 1"),
        ({"a": {"$nin": "x"}}, 'Bad argument for operator $nin: "x"'),
        ({"a": {"$exists": 1}}, "Bad argument for operator $exists: 1"),
        ({"a": {"$type": 1}}, "Bad argument for operator $type: 1"),
        ({"a": {"$size": -1}}, "Bad argument for operator $size: -1"),
        ({"a": {"$size": True}}, "Bad argument for operator $size: true"),
        ({"a": {"$mod": [0, 1]}}, "Bad argument for operator $mod: [0,1]"),
        ({"a": {"$mod": [1]}}, "Bad argument for operator $mod: [1]"),
        ({"a": {"$regex": "("}}, 'Bad argument for operator $regex: "("'),
        ({"a": {"$regex": "(?=a)"}}, 'Bad argument for operator $regex: "(?=a)"'),
        ({"a": {"$regex": 1}}, "Bad argument for operator $regex: 1"),
        ({"a": {"$beginsWith": 1}}, "Bad argument for operator $beginsWith: 1"),
        ({"a": {"$all": {}}}, "Bad argument for operator $all: {}"),
        ({"a": {"$elemMatch": 1}}, "Bad argument for operator $elemMatch: 1"),
        ({"a": {"$allMatch": []}}, "Bad argument for operator $allMatch: []"),
        ({"a": {"$keyMapMatch": None}}, "Bad argument for operator $keyMapMatch: null"),
        ({"$and": {}}, "Bad argument for operator $and: {}"),
        ({"$not": []}, "Bad argument for operator $not: []"),
        ({"": 1}, "Invalid field name: "),
        ({"a..b": 1}, "Invalid field name: a..b"),
    ],
)
def test_bad_selectors_are_refused_with_mangos_reason(selector: Any, reason: str) -> None:
    with pytest.raises(BadRequest) as refused:
        mango.compile(selector)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        ("a\\.b.c", ("a.b", "c")),
        ("a\\\\.b", ("a\\", "b")),
        ("a\\b", ("a\\b",)),
        ("a\\", ("a\\",)),
    ],
)
def test_field_names_are_paths(name: str, path: tuple[str, ...]) -> None:
    assert mango.parse_field(name) == path


def test_a_regular_expression_takes_linear_time() -> None:
    matches = mango.compile({"a": {"$regex": "(a+)+$"}})
    assert not matches({"a": "a" * 50_000 + "b"})


# -- the independent evaluator -------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "a.b", "a.0"])
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "ab"]))
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)
_CONDITIONS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"]), _VALUES),
    st.tuples(st.sampled_from(["$in", "$nin", "$all"]), st.lists(_SCALARS, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.just("$type"), st.sampled_from(["string", "array", "number", "boolean"])),
    st.tuples(st.just("$size"), st.integers(0, 3)),
    st.tuples(
        st.just("$mod"), st.tuples(st.sampled_from([-2, 2, 3]), st.integers(-1, 1)).map(list)
    ),
    st.tuples(st.sampled_from(["$regex", "$beginsWith"]), st.sampled_from(["", "a", "b"])),
).map(lambda pair: {pair[0]: pair[1]})


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.sampled_from(["$and", "$or", "$nor"]), several).map(lambda p: {p[0]: p[1]}),
        inner.map(lambda each: {"$not": each}),
        st.tuples(_NAMES, inner).map(lambda p: {p[0]: p[1]}),
        st.tuples(_NAMES, _CONDITIONS).map(lambda p: {p[0]: p[1]}),
        st.tuples(_NAMES, st.sampled_from(["$elemMatch", "$allMatch", "$keyMapMatch"]), inner).map(
            lambda p: {p[0]: {p[1]: p[2]}}
        ),
        st.lists(inner, min_size=2, max_size=2).map(lambda p: {**p[0], **p[1]}),
    )


_SELECTORS = st.recursive(
    st.tuples(_NAMES, _CONDITIONS).map(lambda p: {p[0]: p[1]}), _grown, max_leaves=5
)
_DOCUMENTS = st.dictionaries(st.sampled_from("ab"), _VALUES, max_size=2)


@pytest.mark.slow
@settings(max_examples=400)
@given(_SELECTORS, _DOCUMENTS)
@example({"$not": {"a": {"$elemMatch": {"$not": {"b": 1}}}}}, {"a": [{}]})
@example({"a.b": {"$exists": False}}, {"a": []})
def test_the_compiled_selector_agrees_with_the_evaluator(
    selector: dict[str, Any], document: dict[str, Any]
) -> None:
    normal = _pushed(_fields(_explicit(selector), ()))
    assert mango.compile(selector)(document) == _holds(normal, document)


def _explicit(selector: Any) -> Any:
    """First step: one operator or field an object, and no bare values."""
    if not isinstance(selector, dict) or not selector:
        return ("$eq", selector)
    if len(selector) > 1:
        return ("$and", [_explicit({name: value}) for name, value in selector.items()])
    ((name, value),) = selector.items()
    if name in ("$and", "$or", "$nor"):
        return (name, [_explicit(each) for each in value])
    if name in ("$not", "$elemMatch", "$allMatch", "$keyMapMatch") or name[0] != "$":
        return (name, _explicit(value))
    return (name, value)


def _fields(node: Any, path: tuple[str, ...]) -> Any:
    """Second step: each condition stands below its whole path."""
    name, value = node
    if name in ("$and", "$or", "$nor"):
        return (name, [_fields(each, path) for each in value])
    if name == "$not":
        return (name, _fields(value, path))
    if name in ("$elemMatch", "$allMatch", "$keyMapMatch"):
        return (path, (name, _fields(value, ())))
    if name[0] == "$":
        return (path, node)
    return _fields(value, path + tuple(name.split(".")))


def _pushed(node: Any) -> Any:
    """Third step: negations stand at the conditions."""
    name, value = node
    if name == "$not":
        return _negated(value)
    if name == "$nor":
        return ("$and", [_negated(each) for each in value])
    if name in ("$and", "$or"):
        return (name, [_pushed(each) for each in value])
    return node


_OPPOSITES = {"$lt": "$gte", "$lte": "$gt", "$eq": "$ne", "$in": "$nin"}
_OPPOSITES |= {opposite: name for name, opposite in _OPPOSITES.items()}


def _negated(node: Any) -> Any:
    name, value = node
    if name == "$not":
        return _pushed(value)
    if name == "$nor":
        return ("$or", [_pushed(each) for each in value])
    if name in ("$and", "$or"):
        return ("$or" if name == "$and" else "$and", [_negated(each) for each in value])
    operator, argument = value
    if operator == "$exists":
        return (name, (operator, not argument))
    if operator in _OPPOSITES:
        return (name, (_OPPOSITES[operator], argument))
    return (name, ("$not", value))


def _holds(node: Any, value: Any) -> bool:
    name, argument = node
    if isinstance(name, tuple):
        return _holds_at(name, argument, value)
    if name == "$and":
        return all(_holds(each, value) for each in argument)
    if name == "$or":
        return any(_holds(each, value) for each in argument)
    if name == "$nor":
        return not any(_holds(each, value) for each in argument)
    if name == "$not":
        return not _holds(argument, value)
    return _condition_holds(name, argument, value)


def _holds_at(path: tuple[str, ...], condition: Any, value: Any) -> bool:
    for step in path:
        if isinstance(value, dict):
            if step not in value:
                return bool(condition == ("$exists", False))
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return _holds(condition, value)


def _condition_holds(name: str, argument: Any, value: Any) -> bool:
    if name in _COMPARISONS:
        return _COMPARISONS[name](collate.compare(value, argument))
    if name in ("$in", "$nin", "$all"):
        return _list_holds(name, argument, value)
    if name == "$exists":
        return bool(argument)
    if name == "$type":
        return collate.rank(value) == ["", "", "boolean", "number", "string", "array"].index(
            argument
        )
    if name == "$size":
        return isinstance(value, list) and len(value) == argument
    if name == "$mod":
        if type(value) is not int:
            return False
        return value - int(value / argument[0]) * argument[0] == argument[1]
    if name == "$regex":
        return isinstance(value, str) and re.search(argument, value) is not None
    if name == "$beginsWith":
        return isinstance(value, str) and value[: len(argument)] == argument
    return _nested_holds(name, argument, value)


_COMPARISONS = {
    "$eq": lambda order: order == 0,
    "$ne": lambda order: order != 0,
    "$lt": lambda order: order < 0,
    "$lte": lambda order: order <= 0,
    "$gt": lambda order: order > 0,
    "$gte": lambda order: order >= 0,
}


def _list_holds(name: str, argument: Any, value: Any) -> bool:
    def among(one: Any, several: Any) -> bool:
        return any(collate.compare(one, each) == 0 for each in several)

    if name == "$all":
        return isinstance(value, list) and all(among(each, value) for each in argument)
    candidates = value if isinstance(value, list) else [value]
    found = any(among(each, argument) for each in candidates)
    return found if name == "$in" else not found


def _nested_holds(name: str, argument: Any, value: Any) -> bool:
    if name == "$keyMapMatch":
        return isinstance(value, dict) and any(_holds(argument, key) for key in value)
    if not isinstance(value, list):
        return False
    found = [_holds(argument, each) for each in value]
    return any(found) if name == "$elemMatch" else bool(found) and all(found)


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "matches"), [("$in", False), ("$nin", True), ("$all", False)])
def test_a_long_list_meets_a_long_list_without_comparing_each_with_each(
    operator: str, matches: bool
) -> None:
    selector = {"tags": {operator: [f"a{number}" for number in range(200_000)]}}
    document = {"tags": [f"b{number}" for number in range(200_000)]}
    assert mango.compile(selector)(document) is matches


@pytest.mark.parametrize(
    "selector",
    [
        {"$or": [{"a": number} for number in range(2000)]},
        {f"a{number}": 1 for number in range(2001)},
        {"a": {"$in": [[] for _ in range(2001)]}},
        {"a": {"$elemMatch": {"$or": [{"b": {"$gt": 1}}] * 1000}}},
    ],
    ids=["alternatives", "fields", "arrays", "elements"],
)
def test_a_selector_of_thousands_of_conditions_is_refused(selector: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="conditions"):
        mango.compile(selector)


@pytest.mark.parametrize("other", [True, 1.0, "1", None, [1], {"1": 1}])
def test_a_list_of_values_knows_their_types(other: Any) -> None:
    for operator in ("$in", "$all"):
        found = mango.compile({"a": {operator: [1]}})({"a": [other]})
        assert found is (type(other) is float), operator
