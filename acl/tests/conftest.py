"""What the tests of people and rights share: the tables, put back as they were after each test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from acl.core import keys
from acl.models import (
    AllowedOrigin,
    ApplicationToken,
    ApplicationUse,
    Grant,
    Group,
    Membership,
    Principal,
)

_PARENTS_FIRST = (
    Principal, Group, Membership, Grant, AllowedOrigin, ApplicationToken, ApplicationUse,
)  # fmt: skip


@pytest.fixture
def acls(tables: None) -> Iterator[None]:
    """Empty ACL tables; what other tests of this process have put there comes back afterwards."""
    kept = [(model, [model(**row) for row in model.objects.values()]) for model in _PARENTS_FIRST]
    _empty()
    yield
    _empty()
    for model, rows in kept:
        model._default_manager.bulk_create(rows)


def _empty() -> None:
    for model in reversed(_PARENTS_FIRST):
        model._default_manager.all().delete()


def key(name: str) -> str:
    """Return a key hash, the same for the same name."""
    return keys.key_hash(hashlib.sha256(name.encode()).digest())


@pytest.fixture
def key_of() -> Any:
    """The function `key`."""
    return key
