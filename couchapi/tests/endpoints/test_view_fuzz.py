"""Whatever is asked of a view, the answer is rows or a refusal, never a failure of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from couchapi.tests.endpoints.tenviews import VIEWS, write

_NAMES = [
    "key",
    "keys",
    "startkey",
    "end_key",
    "startkey_docid",
    "end_key_doc_id",
    "inclusive_end",
    "descending",
    "skip",
    "limit",
    "group",
    "group_level",
    "reduce",
    "include_docs",
    "conflicts",
    "attachments",
    "update",
    "stale",
    "stable",
    "update_seq",
    "sorted",
    "partition",
]
_SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["true", "false", "lazy", "ok", "d3", "a\0", "{", "[1,2]", "1e400"])
)
_VALUES = st.recursive(
    _SIMPLE,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)
_MEMBERS = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=4)
_TEXTS = st.dictionaries(
    st.sampled_from(_NAMES), _VALUES.map(json.dumps) | st.text(max_size=5), max_size=4
)


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(view=st.sampled_from(sorted(VIEWS)), members=_MEMBERS, texts=_TEXTS)
def test_any_question_is_answered(
    owner: Any, database: str, view: str, members: dict[str, Any], texts: dict[str, str]
) -> None:
    asyncio.run(_ask(owner, database, view, members, texts))


async def _ask(
    owner: Any, database: str, view: str, members: dict[str, Any], texts: dict[str, str]
) -> None:
    if (await owner.get(f"{database}/_design/d")).status == 404:
        await write(owner, database, range(10))
        await owner.put(f"{database}/_design/d", {"views": VIEWS})
    path = f"{database}/_design/d/_view/{view}"
    for answer in (
        await owner.get(path, **texts),
        await owner.post(path, members),
        await owner.post(f"{path}/queries", {"queries": [members]}),
    ):
        assert answer.status in (200, 400), answer.body
        shown = answer.json()
        assert ("error" in shown) == (answer.status == 400)
