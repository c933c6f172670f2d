"""What runs on battery and on a metered connection, and what waits, and why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replication.core import policy
from replication.core.job import Priority
from replication.core.policy import Conditions, Network, Power, Reason, Rules, Runs

unsure = st.none() | st.booleans()
conditions_of = st.builds(Conditions, unsure, unsure, st.none() | st.integers(0, 100))
rules_of = st.builds(Rules, *[st.sampled_from(Runs)] * 3)


def test_on_battery_what_is_in_the_background_waits() -> None:
    on_battery = Conditions(on_battery=True, charge=80)
    assert policy.held(Priority.BACKGROUND, on_battery, Rules()) is Reason.BATTERY
    assert policy.held(Priority.NORMAL, on_battery, Rules()) is None


def test_when_the_battery_is_low_only_what_is_urgent_runs() -> None:
    low = Conditions(on_battery=True, charge=policy.LOW)
    assert policy.held(Priority.NORMAL, low, Rules()) is Reason.LOW_BATTERY
    assert policy.held(Priority.NOW, low, Rules()) is None
    assert policy.held(Priority.NORMAL, low._replace(on_battery=False), Rules()) is None


def test_a_metered_connection_is_no_matter_between_databases_of_this_hub() -> None:
    metered, none = Conditions(metered=True), Rules(metered=Runs.NOTHING)
    assert policy.held(Priority.NOW, metered, none) is Reason.METERED
    assert policy.held(Priority.BACKGROUND, metered, none, near=True) is None


def test_what_the_owner_says_goes_before_what_the_system_tells() -> None:
    sensed = Conditions(metered=True, on_battery=False, charge=50)
    said = policy.effective(sensed, Network.FREE, Power.BATTERY)
    assert said == Conditions(metered=False, on_battery=True, charge=50)
    assert policy.effective(sensed, Network.AUTO, Power.AUTO) == sensed


def test_each_reason_has_words() -> None:
    assert set(policy.WORDS) == set(Reason)


@given(rules_of)
def test_where_nobody_can_tell_everything_runs(rules: Rules) -> None:
    assert policy.running(Conditions(), rules) == frozenset(Priority)


@given(conditions_of, rules_of, st.booleans())
def test_what_is_more_urgent_runs_wherever_less_urgent_does(
    conditions: Conditions, rules: Rules, near: bool
) -> None:
    ran = [one in policy.running(conditions, rules, near=near) for one in Priority]
    assert ran == sorted(ran, reverse=True)


@given(conditions_of, rules_of)
def test_worse_conditions_never_let_more_run(conditions: Conditions, rules: Rules) -> None:
    before = policy.running(conditions, rules)
    for worse in (
        conditions._replace(metered=True),
        conditions._replace(on_battery=True),
        conditions._replace(charge=0),
    ):
        assert policy.running(worse, rules) <= before


@given(conditions_of, rules_of)
def test_what_waits_has_a_reason_that_is_true(conditions: Conditions, rules: Rules) -> None:
    for priority in Priority:
        match policy.held(priority, conditions, rules):
            case Reason.METERED:
                assert conditions.metered
            case Reason.BATTERY | Reason.LOW_BATTERY:
                assert conditions.on_battery
