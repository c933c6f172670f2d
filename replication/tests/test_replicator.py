"""Replication between databases of every kind: what the source has, the target has too."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from replication import replicator
from replication.core.errors import SourceMissing, TargetMissing
from replication.core.options import Options
from replication.peers import Peer
from replication.replicator import Result, replicate

EVERYTHING = Options()


@dataclass
class Pair:
    """Two databases and the owner's client."""

    owner: Any
    source: str
    target: str
    source_peer: Peer
    target_peer: Peer

    async def run(self, options: Options = EVERYTHING, **more: Any) -> Result:
        return await replicate(self.source_peer, self.target_peer, options, ours="us", **more)

    async def put(self, docid: str, document: dict[str, Any]) -> str:
        answer = await self.owner.put(f"{self.source}/{docid}", document)
        assert answer.status == 201, answer.body
        return answer.json()["rev"]

    async def documents(self, path: str) -> dict[str, Any]:
        answer = await self.owner.get(f"{path}/_all_docs", include_docs="true", conflicts="true")
        return {row["id"]: row["doc"] for row in answer.json()["rows"]}

    async def alike(self) -> bool:
        return await self.documents(self.source) == await self.documents(self.target)


@pytest.fixture
async def pair(
    owner: Any,
    new_name: Callable[[], str],
    source_of: Callable[[str], Peer],
    target_of: Callable[[str], Peer],
) -> Pair:
    source, target = f"/{new_name()}", f"/{new_name()}"
    for path in (source, target):
        assert (await owner.put(path, conflict_policy="couch")).status == 201
    return Pair(owner, source, target, source_of(source), target_of(target))


Put = Callable[[str, dict[str, Any]], Awaitable[str]]


async def test_documents_with_their_history_deletions_and_conflicts_go_over(pair: Pair) -> None:
    rev = await pair.put("a", {"n": 1, "big": 123456789012345678901234567890})
    await pair.put("a", {"n": 2, "_rev": rev})
    gone = await pair.put("b", {"n": 1})
    await pair.owner.delete(f"{pair.source}/b", rev=gone)
    conflict = {"_id": "a", "_rev": "2-aaaa", "_revisions": {"start": 2, "ids": ["aaaa", rev[2:]]}}
    await pair.owner.post(f"{pair.source}/_bulk_docs", {"new_edits": False, "docs": [conflict]})
    await pair.put("_design/d", {"views": {}})
    result = await pair.run()
    assert result.caught_up
    assert await pair.alike()
    assert (await pair.documents(pair.target))["a"]["_conflicts"]
    assert (await pair.owner.get(f"{pair.target}/b")).json()["reason"] == "deleted"
    assert result.counts["docs_written"] == 4
    history = [
        (await pair.owner.get(f"{path}/a", revs="true")).json()["_revisions"]
        for path in (pair.source, pair.target)
    ]
    assert history[0] == history[1]


async def test_a_second_run_goes_on_where_the_first_has_ended(pair: Pair) -> None:
    await pair.put("a", {})
    first = await pair.run()
    again = await pair.run()
    assert (first.counts["docs_written"], again.counts["missing_checked"]) == (1, 0)
    assert again.note["session_id"] == first.session_id  # Nothing new, nothing noted.
    await pair.put("b", {})
    third = await pair.run()
    assert third.counts["missing_checked"] == third.counts["docs_written"] == 1
    assert [one["session_id"] for one in third.note["history"]] == [
        third.session_id,
        first.session_id,
    ]


async def test_many_documents_go_over_in_pages_and_a_deadline_ends_a_run_early(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicator, "_PAGE", 10)
    documents = [{"_id": f"d{number:03}", "n": number} for number in range(35)]
    await pair.owner.post(f"{pair.source}/_bulk_docs", {"docs": documents})
    told: list[int] = []
    early = await pair.run(
        deadline=time.monotonic(), progress=lambda now: told.append(now.counts["docs_written"])
    )
    assert not early.caught_up
    assert early.counts["docs_written"] == 10
    assert told == [10]
    rest = await pair.run()
    assert rest.caught_up
    assert rest.counts["docs_written"] == 25
    assert await pair.alike()


async def test_attachments_go_over_and_those_the_target_has_do_not(pair: Pair) -> None:
    large = bytes(range(256)) * 1024
    rev = await pair.put(
        "a", {"_attachments": {"small": {"content_type": "text/plain", "data": "aGVsbG8="}}}
    )
    answer = await pair.owner(
        "PUT", f"{pair.source}/a/large", large, headers={"content-type": "image/png"}, rev=rev
    )
    rev = answer.json()["rev"]
    assert (await pair.run()).counts["docs_written"] == 1
    found = await pair.owner.get(f"{pair.target}/a", attachments="true")
    for name, content in (("small", b"hello"), ("large", large)):
        assert (await pair.owner.get(f"{pair.target}/a/{name}")).body == content, found.status
    stubs = {"small": {"stub": True}, "large": {"stub": True}}
    await pair.put("a", {"n": 2, "_rev": rev, "_attachments": stubs})
    assert (await pair.run()).counts["docs_written"] == 1
    assert (await pair.documents(pair.target))["a"]["n"] == 2
    assert (await pair.owner.get(f"{pair.target}/a/large")).body == large


async def test_packed_attachments_stay_packed(pair: Pair) -> None:
    text = b"the same again " * 5000
    data = base64.b64encode(text).decode()
    await pair.put("a", {"_attachments": {"t": {"content_type": "text/plain", "data": data}}})
    await pair.run()
    answer = await pair.owner.get(f"{pair.target}/a/t")
    assert answer.body == text


async def test_what_the_target_refuses_is_counted_and_the_rest_goes_over(pair: Pair) -> None:
    rule = "function (doc) { if (doc.secret) throw({forbidden: 'no'}); }"
    await pair.owner.put(f"{pair.target}/_design/rules", {"validate_doc_update": rule})
    await pair.put("a", {"secret": True})
    await pair.put("b", {})
    inline = {"x": {"content_type": "text/plain", "data": "aGVsbG8="}}
    await pair.put("c", {"secret": True, "_attachments": inline})
    result = await pair.run()
    assert result.counts["doc_write_failures"] == 2
    assert {(one.docid, one.word) for one in result.failures} == {
        ("a", "forbidden"),
        ("c", "forbidden"),
    }
    assert (await pair.owner.get(f"{pair.target}/b")).status == 200
    assert result.caught_up


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(doc_ids=("a", "no such")), {"a"}),
        (Options(selector={"kind": "photo"}), {"b"}),
        (Options(filter="d/kind", query_params={"kind": "letter"}), {"a"}),
        (Options(since_seq="2"), {"b", "_design/d"}),
    ],
    ids=["ids", "selector", "function", "since"],
)
async def test_only_what_is_asked_for_goes_over(
    pair: Pair, options: Options, expected: set[str]
) -> None:
    await pair.put("z", {})
    await pair.put("a", {"kind": "letter"})
    await pair.put("b", {"kind": "photo"})
    chosen = "function (doc, req) { return doc.kind === req.query.kind; }"
    await pair.put("_design/d", {"filters": {"kind": chosen}})
    await pair.run(options)
    assert set(await pair.documents(pair.target)) == expected
    assert (await pair.run(options)).counts["missing_checked"] == 0


async def test_winners_alone(pair: Pair) -> None:
    await pair.put("a", {})
    await pair.owner.post(
        f"{pair.source}/_bulk_docs",
        {"new_edits": False, "docs": [{"_id": "a", "_rev": "1-0000", "loser": True}]},
    )
    await pair.run(Options(winning_revs_only=True))
    assert "_conflicts" not in (await pair.documents(pair.target))["a"]


async def test_missing_databases_are_said_so(
    pair: Pair, source_of: Callable[[str], Peer], target_of: Callable[[str], Peer]
) -> None:
    pair.source_peer, there = source_of("/nosuch"), pair.source_peer
    with pytest.raises(SourceMissing):
        await pair.run()
    pair.source_peer = there
    pair.target_peer = target_of(f"{pair.target}x")
    with pytest.raises(TargetMissing):
        await pair.run()
    await pair.put("a", {})
    await pair.run(Options(create_target=True))
    assert (await pair.owner.get(f"{pair.target}x/a")).status == 200


async def test_last_writer_wins_between_the_two(
    owner: Any, new_name: Callable[[], str], source_of: Any, target_of: Any
) -> None:
    one, other = f"/{new_name()}", f"/{new_name()}"
    for path in (one, other):
        await owner.put(path)
        await owner.put(f"{path}/a", {"at": path})
    for source, target in ((one, other), (other, one)):
        await replicate(source_of(source), target_of(target), Options(), ours="us")
    documents = [(await owner.get(f"{path}/a", conflicts="true")).json() for path in (one, other)]
    assert documents[0] == documents[1]
    assert documents[0]["at"] == other
    assert "_conflicts" not in documents[0]
