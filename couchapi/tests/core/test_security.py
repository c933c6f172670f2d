"""The `_security` object is read into members, admins and the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.core.policy import Members
from couchapi.core import security
from couchapi.core.errors import BadRequest

names = st.lists(st.text().filter(lambda name: name != "_admin")).map(tuple)


@pytest.mark.slow
@given(names, names, names, names, st.dictionaries(st.text(), st.integers()))
def test_everything_that_was_sent_is_read(
    members: tuple[str, ...],
    member_roles: tuple[str, ...],
    admins: tuple[str, ...],
    admin_roles: tuple[str, ...],
    rest: dict[str, Any],
) -> None:
    rest = {name: value for name, value in rest.items() if name not in ("members", "admins")}
    sent = {
        "members": {"names": list(members), "roles": list(member_roles)},
        "admins": {"names": list(admins), "roles": list(admin_roles)},
        **rest,
    }
    assert security.read(sent) == (
        Members(members, member_roles),
        Members(admins, admin_roles),
        rest,
    )


def test_what_is_left_out_is_empty() -> None:
    assert security.read({}) == (Members(), Members(), {})
    assert security.read({"members": {}}) == (Members(), Members(), {})


def test_the_role_that_every_admin_has_is_not_a_group() -> None:
    sent = {"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin", "staff"]}}
    assert security.read(sent) == (Members(), Members((), ("staff",)), {})


@pytest.mark.parametrize("kind", ["members", "admins"])
@pytest.mark.parametrize("value", [None, [], "a", 1, {"names": "a"}, {"roles": [1]}, {"names": {}}])
def test_what_is_none_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(BadRequest):
        security.read({kind: value})
