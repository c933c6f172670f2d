"""Two sets of entries are kept alike, on one hub and across two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.core import merge
from replication.core.merge import Steps

ONE, OTHER = {"n": 1}, {"n": 2}

NAMES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.sampled_from([ONE, OTHER, {"n": 3}])
SETS = st.dictionaries(NAMES, ENTRIES)


def _agreed(entries: Mapping[str, Any]) -> dict[str, str]:
    return merge.agreement(entries)


def test_what_only_the_tables_changed_goes_to_the_documents() -> None:
    assert merge.steps({"a": OTHER}, {"a": ONE}, _agreed({"a": ONE})) == Steps({"a": OTHER}, {})
    assert merge.steps({}, {"a": ONE}, _agreed({"a": ONE})) == Steps({"a": None}, {})
    assert merge.steps({"a": ONE}, {}, {}) == Steps({"a": ONE}, {})


def test_what_only_the_documents_changed_goes_to_the_tables() -> None:
    assert merge.steps({"a": ONE}, {"a": OTHER}, _agreed({"a": ONE})) == Steps({}, {"a": OTHER})
    assert merge.steps({"a": ONE}, {}, _agreed({"a": ONE})) == Steps({}, {"a": None})
    assert merge.steps({}, {"a": ONE}, {}) == Steps({}, {"a": ONE})


def test_of_two_changes_the_tables_win() -> None:
    assert merge.steps({"a": OTHER}, {"a": {"n": 3}}, _agreed({"a": ONE})).to_tables == {}


def test_a_new_device_takes_over_what_its_person_has() -> None:
    assert merge.steps({"a": ONE}, {"a": OTHER}, {}) == Steps({}, {"a": OTHER})


def test_the_hub_that_takes_a_device_in_has_the_say() -> None:
    found = merge.steps({"a": ONE}, {"a": OTHER, "b": ONE}, {}, is_first=True)
    assert found == Steps({"a": ONE}, {"b": ONE})


def _do(steps: Steps, tables: dict[str, Any], documents: dict[str, Any]) -> None:
    for target, changes in ((documents, steps.to_documents), (tables, steps.to_tables)):
        for name, entry in changes.items():
            target.pop(name, None)
            if entry is not None:
                target[name] = entry


@given(SETS, SETS, SETS)
def test_both_sides_are_alike_afterwards_and_stay_so(
    tables: dict[str, Any], documents: dict[str, Any], before: dict[str, Any]
) -> None:
    _do(merge.steps(tables, documents, _agreed(before)), tables, documents)
    assert tables == documents
    assert merge.steps(tables, documents, _agreed(tables)) == Steps({}, {})


@given(SETS, SETS, SETS)
def test_nothing_appears_that_nobody_said(
    tables: dict[str, Any], documents: dict[str, Any], before: dict[str, Any]
) -> None:
    said = [*tables.items(), *documents.items()]
    _do(merge.steps(tables, documents, _agreed(before)), tables, documents)
    assert all(item in said for item in tables.items())


CHANGES = st.lists(
    st.tuples(st.sampled_from([0, 1]), NAMES, st.one_of(st.none(), ENTRIES), st.booleans())
)


@pytest.mark.slow
@given(CHANGES)
def test_two_devices_that_exchange_their_documents_agree_in_the_end(
    changes: list[tuple[int, str, Any, bool]],
) -> None:
    tables: list[dict[str, Any]] = [{}, {}]
    agreed: list[dict[str, str]] = [{}, {}]
    documents: dict[str, Any] = {}  # As if replicated at once; each device looks when it does.

    def look(device: int) -> None:
        _do(merge.steps(tables[device], documents, agreed[device]), tables[device], documents)
        agreed[device] = _agreed(tables[device])

    for device, name, entry, looks in changes:
        tables[device].pop(name, None)
        if entry is not None:
            tables[device][name] = entry
        if looks:
            look(device)
    for device in (0, 1, 0):
        look(device)
    assert tables[0] == tables[1] == documents


@given(ENTRIES, ENTRIES)
def test_fingerprints_tell_entries_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (merge.fingerprint(one) == merge.fingerprint(other)) == (one == other)
