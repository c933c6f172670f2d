"""Whatever a client sends, the answer is CouchDB's and never a failure of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = ["a", "d", "_design/x", "_local/y", "ä ☃", "a/b", "%", "\x00", "_", "x" * 300]
MEMBERS = [
    "_all_docs",
    "_all_docs/queries",
    "_bulk_docs",
    "_bulk_get",
    "_changes",
    "_compact",
    "_design_docs",
    "_ensure_full_commit",
    "_local_docs",
    "_missing_revs",
    "_purge",
    "_purged_infos",
    "_purged_infos_limit",
    "_revs_diff",
    "_revs_limit",
    "_security",
    "_view_cleanup",
    "_temp_view",
    "_nothing",
]
PARAMETERS = [
    "rev",
    "revs",
    "open_revs",
    "latest",
    "meta",
    "attachments",
    "atts_since",
    "new_edits",
    "batch",
    "limit",
    "skip",
    "startkey",
    "endkey",
    "key",
    "keys",
    "descending",
    "include_docs",
    "since",
    "style",
    "filter",
    "doc_ids",
    "seq_interval",
    "callback",
]
REVS = st.sampled_from(["foo", "1-", "0-0", "1-" + "a" * 32, "2-" + "b" * 32, "9" * 30 + "-a", ""])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    REVS,
    st.sampled_from(NAMES),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.text(max_size=6),
                st.sampled_from(
                    ["_id", "_rev", "_revisions", "_deleted", "_attachments", "start", "ids"]
                ),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
ENVELOPES = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            name: VALUES
            for name in ["docs", "keys", "queries", "new_edits", "selector", "doc_ids", "members"]
        },
    ),
    st.fixed_dictionaries({"docs": st.lists(VALUES, max_size=3)}),
)
BODIES = st.one_of(ENVELOPES.map(json.dumps).map(str.encode), st.binary(max_size=40))
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "if-match", "if-none-match", "range", "destination", "origin"]),
    st.one_of(st.sampled_from(["*", "application/json", "multipart/mixed", '"1-a"']), REVS).filter(
        str.isascii
    ),
    max_size=2,
)
KINDS = st.sampled_from(
    ["application/json", "text/plain", 'multipart/related; boundary="b"', "multipart/related", ""]
)
PATHS = st.one_of(
    st.sampled_from(MEMBERS),
    st.sampled_from(NAMES).map(quote),
    st.tuples(st.sampled_from(NAMES).map(quote), st.sampled_from(NAMES).map(quote)).map("/".join),
    st.text(max_size=8).map(quote),
)
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "PATCH"]),
        "path": PATHS,
        "body": BODIES,
        "kind": KINDS,
        "headers": HEADERS,
        "params": st.dictionaries(
            st.sampled_from(PARAMETERS),
            st.one_of(VALUES.map(json.dumps), st.text(max_size=12), REVS),
            max_size=3,
        ),
    }
)


async def check(owner: Any, database: str, request: dict[str, Any]) -> None:
    answer = await owner(
        request["method"],
        f"{database}/{request['path']}",
        request["body"],
        headers={"content-type": request["kind"], **request["headers"]},
        **request["params"],
    )
    assert answer.status < 500, (request, answer.body)
    if answer.status >= 400 and request["method"] != "HEAD":
        assert set(answer.json()) == {"error", "reason"}, request
    # What was stored can be listed: nothing half-written breaks a later reader.
    assert (await owner.get(f"{database}/_changes", include_docs=True)).status in (200, 404)


SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=SUPPRESSED, derandomize=True)
@given(request=REQUESTS)
async def test_no_request_makes_the_hub_fail(
    owner: Any, database: str, request: dict[str, Any]
) -> None:
    await check(owner, database, request)


@pytest.mark.nightly
@pytest.mark.timeout(14_400)
@settings(max_examples=100_000, suppress_health_check=SUPPRESSED)
@given(request=REQUESTS)
async def test_no_request_makes_the_hub_fail_all_night(
    owner: Any, database: str, request: dict[str, Any]
) -> None:
    await check(owner, database, request)
