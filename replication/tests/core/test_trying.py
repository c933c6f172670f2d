"""Addresses are tried in an order that learns, and none is ever left out for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core.addresses import Address
from replication.core import trying
from replication.core.trying import Known

NOW = 1_000_000.0
HOME, AWAY = Address.parse("192.168.1.2:6984"), Address.parse("hub.example:6984")
ONION = Address.parse(f"{'a' * 56}.onion:6984")
ago = st.none() | st.floats(0, 10_000).map(lambda seconds: NOW - seconds)
known_of = st.builds(
    Known, st.sampled_from([HOME, AWAY, ONION]), st.integers(0, 3), st.booleans(), ago, ago,
    st.integers(0, 20),
)  # fmt: skip


def test_what_is_near_goes_first() -> None:
    assert trying.ranked(map(Known, (ONION, AWAY, HOME)), NOW) == [HOME, AWAY, ONION]


def test_what_has_failed_lately_goes_last_until_it_has_rested() -> None:
    failed = Known(HOME, last_failure=NOW - 20, failures=1)
    assert trying.ranked([failed, Known(ONION)], NOW) == [ONION, HOME]
    assert trying.ranked([failed, Known(ONION)], NOW + 15) == [HOME, ONION]
    often = failed._replace(failures=5)
    assert trying.ranked([often, Known(ONION)], NOW + 300) == [ONION, HOME]


def test_of_two_hubs_the_one_with_the_higher_priority_goes_first() -> None:
    assert trying.ranked([Known(HOME, 5), Known(AWAY, 10)], NOW) == [AWAY, HOME]


def test_of_two_addresses_alike_the_one_that_answered_last_goes_first() -> None:
    other = Address.parse("192.168.1.3:6984")
    known = [Known(HOME, last_success=NOW - 90), Known(other, last_success=NOW - 60)]
    assert trying.ranked(known, NOW) == [other, HOME]


def test_a_hub_outside_its_hours_is_tried_where_there_is_no_other() -> None:
    closed = Known(HOME, is_open=False)
    assert trying.ranked([closed, Known(ONION)], NOW) == [ONION]
    assert trying.ranked([closed], NOW) == [HOME]


@given(st.lists(known_of, max_size=8))
def test_every_open_address_is_tried_once(known: list[Known]) -> None:
    tried = trying.ranked(known, NOW)
    able = [one for one in known if one.is_open] or known
    assert sorted(tried) == sorted({one.address for one in able})


@given(known_of, known_of)
@pytest.mark.slow
def test_who_rests_never_goes_before_who_does_not(one: Known, other: Known) -> None:
    one, other = (
        one._replace(address=HOME, is_open=True),
        other._replace(address=AWAY, is_open=True),
    )
    if trying.rests(one, NOW) and not trying.rests(other, NOW):
        assert trying.ranked([one, other], NOW) == [AWAY, HOME]
