"""What grants allow together: nothing that none of them gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.core import policy
from acl.core.policy import GrantRecord, Permit, Right

DATABASE_RIGHTS = (Right.READ, Right.WRITE, Right.VIEW, Right.ADMIN)

whole = st.builds(
    GrantRecord,
    read=st.booleans(),
    write=st.booleans(),
    admin=st.booleans(),
    selector=st.none() | st.fixed_dictionaries({"type": st.sampled_from(["a", "b"])}),
)
of_a_view = st.builds(GrantRecord, read=st.just(True), view=st.sampled_from(["d/v", "d/w"]))
grants = st.lists(whole | of_a_view, max_size=5)


@given(grants)
def test_a_right_is_held_when_one_grant_gives_it(held: list[GrantRecord]) -> None:
    permit = policy.decide(held)
    of_all = [one for one in held if not one.view]
    assert permit.allows(Right.READ) == any(one.read for one in of_all)
    assert permit.allows(Right.WRITE) == any(one.write for one in of_all)
    assert permit.allows(Right.ADMIN) == any(one.admin for one in of_all)
    assert permit.views == {one.view for one in held if one.view}


@given(grants)
def test_everything_is_seen_only_by_a_read_grant_without_selector(held: list[GrantRecord]) -> None:
    permit = policy.decide(held)
    reads = [one for one in held if one.read and not one.view]
    sees_everything = permit.read and permit.selectors is None
    assert sees_everything == any(one.selector is None for one in reads)
    if permit.read and permit.selectors is not None:
        assert list(permit.selectors) == [one.selector for one in reads]


@given(grants, grants)
def test_another_grant_takes_nothing_away(held: list[GrantRecord], more: list[GrantRecord]) -> None:
    before, after = policy.decide(held), policy.decide(held + more)
    for right in DATABASE_RIGHTS:
        assert after.allows(right, "d/v") or not before.allows(right, "d/v")
    if before.read and before.selectors is None:
        assert after.selectors is None


@given(grants)
def test_grants_on_a_database_give_nothing_on_the_hub(held: list[GrantRecord]) -> None:
    permit = policy.decide(held)
    assert not permit.allows(Right.OWNER)
    assert not permit.allows(Right.CREATE)


def test_writing_does_not_include_reading() -> None:
    permit = policy.decide([GrantRecord(write=True)])
    assert permit.allows(Right.WRITE)
    assert not permit.allows(Right.READ)
    assert not permit.allows(Right.VIEW, "d/v")


def test_a_view_reader_reads_that_view_and_nothing_else() -> None:
    permit = policy.decide([GrantRecord(read=True, view="d/v")])
    assert permit.allows(Right.VIEW, "d/v")
    assert not permit.allows(Right.VIEW, "d/w")
    assert not permit.allows(Right.VIEW)
    assert not permit.allows(Right.READ)
    assert permit.is_visible


def test_a_grant_of_a_view_with_more_in_it_gives_no_more() -> None:
    permit = policy.decide([GrantRecord(read=True, write=True, admin=True, view="d/v")])
    assert not permit.allows(Right.WRITE)
    assert not permit.allows(Right.ADMIN)


def test_a_limited_grant_of_a_view_gives_nothing() -> None:
    # Selectors are applied to documents, not to rows of views: better nothing than too much.
    permit = policy.decide([GrantRecord(read=True, view="d/v", selector={"type": "a"})])
    assert not permit.allows(Right.VIEW, "d/v")


def test_a_reader_reads_every_view() -> None:
    assert policy.decide([GrantRecord(read=True)]).allows(Right.VIEW, "d/v")


def test_one_of_several_rights_is_enough() -> None:
    permit = policy.decide([GrantRecord(write=True)])
    assert permit.allows(Right.READ | Right.WRITE)
    assert not permit.allows(Right.READ | Right.ADMIN)


def test_no_grant_shows_nothing() -> None:
    permit = policy.decide([])
    assert not permit.is_visible
    assert not any(permit.allows(right, "d/v") for right in DATABASE_RIGHTS)
    assert permit.allows(Right.KNOWN)
    assert permit.allows(Right.ANY)


@pytest.mark.parametrize("right", list(Right))
def test_the_owner_may_do_everything(right: Right) -> None:
    assert policy.owner().allows(right, "d/v")


@pytest.mark.parametrize("right", [right for right in Right if right is not Right.ANY])
def test_a_stranger_may_do_nothing(right: Right) -> None:
    assert not Permit().allows(right, "d/v")


def test_who_may_create_databases_is_no_owner() -> None:
    permit = policy.decide([], may_create=True)
    assert permit.allows(Right.CREATE)
    assert not permit.allows(Right.OWNER | Right.ADMIN)
