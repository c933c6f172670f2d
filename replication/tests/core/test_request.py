"""Whatever somebody asks for is understood, or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.core.errors import HubError
from replication.core import request
from replication.core.errors import BadJob
from replication.core.job import Direction, Mode, Priority, options_text, read_options

KEY = "A" * 43
HUB, SERVER = f"httpkey://10.0.0.1/sha256:{KEY}/notes", "https://ann:pw@one.example/notes"
ends = st.sampled_from(["notes", "_replicator", HUB, SERVER, "http://[", "https://x/", "", "Ann"])
odd = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=3), st.integers())
)  # fmt: skip
names = st.sampled_from(
    ["continuous", "create_target", "doc_ids", "selector", "filter", "query_params", "since_seq",
     "winning_revs_only", "cancel", "priority", "windows", "bytes_per_second", "lasts",
     "attachments"]
)  # fmt: skip


@pytest.mark.slow
@given(ends | odd, ends | odd, st.dictionaries(names, odd, max_size=4))
def test_every_request_is_understood_or_refused(
    source: Any, target: Any, more: dict[str, Any]
) -> None:
    try:
        wish = request.read({"source": source, "target": target, **more}).wish
    except HubError as error:
        assert 400 <= error.status < 500
        return
    assert read_options(options_text(wish.options)) == wish.options
    assert request.ends(wish) == (source, target)


def test_between_two_urls_the_hub_pulls_into_another_place_than_its_own() -> None:
    wish = request.read({"source": SERVER, "target": HUB, "continuous": True}).wish
    assert (wish.peer, wish.direction, wish.mode) == (SERVER, Direction.PULL, Mode.CONTINUOUS)
    assert (wish.db_name, wish.options.target) == ("notes", HUB)


def test_what_is_not_said_is_as_usual() -> None:
    wish = request.read({"source": "notes", "target": HUB}).wish
    assert (wish.priority, wish.windows, wish.limit, wish.lasts) == (Priority.NOW, "", 0, 0)


@pytest.mark.parametrize("member", ["priority", "windows", "bytes_per_second", "attachments"])
def test_a_member_of_ours_is_not_guessed_at(member: str) -> None:
    with pytest.raises((BadJob, HubError)):
        request.read({"source": "notes", "target": HUB, member: ["x"]})
