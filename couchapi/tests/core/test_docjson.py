"""Documents go in and out without loss, and what could be lost is refused."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from couchapi.core import docjson
from couchapi.core.errors import BadRequest, DocumentTooLarge, DocValidation, IllegalDocid
from couchapi.core.revid import RevId

_NUMBERS = st.one_of(
    st.integers(min_value=-(10**30), max_value=10**30).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_SPACES = st.sampled_from(["", "", " ", "\n", "\t\r "])


class Number(str):
    """The letters of a number."""


_TREES = st.recursive(
    st.one_of(_NUMBERS.map(Number), _TEXTS, st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_TEXTS, inner, max_size=4)
    ),
    max_leaves=12,
)


def _written(tree: Any, space: str, ascii_only: bool) -> str:
    """Write a tree as a client might, with `space` at every place where space may stand."""
    if isinstance(tree, Number):
        return space + tree + space
    if isinstance(tree, list):
        inner = ",".join(_written(each, space, ascii_only) for each in tree)
        return f"{space}[{inner}{space}]{space}"
    if isinstance(tree, dict):
        pairs = [
            _written(k, space, ascii_only) + ":" + _written(v, space, ascii_only)
            for k, v in tree.items()
        ]
        return space + "{" + space + ",".join(pairs) + "}" + space
    return space + json.dumps(tree, ensure_ascii=ascii_only) + space


@pytest.mark.slow
@given(_TREES, _SPACES, st.booleans())
@example([Number("1e2"), Number("-0"), Number("1.0"), Number("9" * 30)], " ", True)
@example({"\0": "a\0b", "": Number("1E+2")}, "", True)
@example([Number("18446744073709551615"), Number("18446744073709551616")], " ", False)
@example([Number("-9223372036854775808"), Number("-9223372036854775809")], " ", False)
def test_everything_comes_back_as_it_was_sent(tree: Any, space: str, ascii_only: bool) -> None:
    raw = _written(tree, space, ascii_only).encode()
    assert orjson.dumps(docjson.parse(raw)).decode() == _written(tree, "", False)


@pytest.mark.slow
@given(_TREES, _SPACES)
def test_plain_values_are_what_the_standard_library_reads(tree: Any, space: str) -> None:
    raw = _written(tree, space, True).encode()
    assert docjson.parse_plain(raw) == _doubles(json.loads(raw))


def _doubles(value: Any) -> Any:
    if isinstance(value, list):
        return [_doubles(each) for each in value]
    if isinstance(value, dict):
        return {name: _doubles(each) for name, each in value.items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1,"a":2}',
        b'[{"a":{"b":1,"b":1}}]',
        b'{"a":1,"\\u0061":2}',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"1e400",
        b"-1e400",
        b"9" * 5000,
        b"1" + b"0" * 309,
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\ud800":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"[" * 5000 + b"]" * 5000,
        b"[" * 100_000,
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":1}x',
        b'"a\nb"',
    ],
)
@pytest.mark.parametrize("read", [docjson.parse, docjson.parse_plain])
def test_what_could_be_lost_or_hurt_is_refused(read: Any, raw: bytes) -> None:
    with pytest.raises(BadRequest, match="^invalid UTF-8 JSON"):
        read(raw)


def test_hundred_levels_are_taken_and_brackets_in_strings_are_not_levels() -> None:
    assert docjson.parse(b"[" * 100 + b"]" * 100)
    assert docjson.parse(b'"' + b"[{" * 200 + b'"') == "[{" * 200
    assert docjson.parse(orjson.dumps([["[{"] * 300] * 2))


def test_a_document_that_put_takes_is_also_taken_in_a_bulk_request() -> None:
    deep = b'{"a":' * 100 + b"1" + b"}" * 100
    bulk = b'{"docs":[' + deep + b"]}"
    assert docjson.parse(deep)
    (document,) = docjson.parse_batch(bulk)["docs"]
    assert docjson.split(document).body == deep
    with pytest.raises(BadRequest):
        docjson.parse(bulk)


@pytest.mark.parametrize("levels", [101, 253, 400, 1100])
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_document_of_a_bulk_request_is_refused_where_put_refuses_it(
    levels: int, space: bytes
) -> None:
    deep = b'{"a":' * levels + b"1" + space + b"}" * levels
    with pytest.raises(BadRequest, match="^invalid UTF-8 JSON"):
        for document in docjson.parse_batch(b'{"docs":[' + deep + b"]}")["docs"]:
            docjson.split(document)


def test_a_duplicate_is_named_in_the_reason() -> None:
    with pytest.raises(BadRequest, match='duplicate key "b"'):
        docjson.parse(b'{"a":1,"b":2,"b":3,"a":4}')


def test_split_takes_all_special_members_out_of_the_body() -> None:
    sent = (
        b'{"_id":"x","a": 1e2,"_rev":"3-aa","_deleted":true,"_revs_info":[],"_conflicts":[],'
        b'"_deleted_conflicts":[],"_local_seq":7,"_attachments":{"n.txt":{"stub":true}},"b_":-0,'
        b'"_revisions":{"start":4,"ids":["bb","aa"]}}'
    )
    parts = docjson.split(docjson.parse(sent))
    assert parts == docjson.Parts(
        docid="x",
        rev="4-bb",
        deleted=True,
        revisions=(RevId(4, "bb"), RevId(3, "aa")),
        attachments={"n.txt": {"stub": True}},
        body=b'{"a":1e2,"b_":-0}',
    )


def test_split_leaves_the_document_as_it_was() -> None:
    doc = {"_id": "x", "_rev": "1-a", "a": 1}
    docjson.split(doc)
    assert doc == {"_id": "x", "_rev": "1-a", "a": 1}


@given(st.dictionaries(st.text(max_size=3).filter(lambda name: name[:1] != "_"), st.integers()))
def test_a_document_without_special_members_is_all_body(content: dict[str, int]) -> None:
    try:
        raw = orjson.dumps(content)
    except TypeError:  # a lone surrogate or an integer beyond 64 bits is not JSON
        return
    parts = docjson.split(docjson.parse(raw))
    assert parts == docjson.Parts(None, None, False, (), None, raw)


def test_the_id_of_the_url_wins() -> None:
    assert docjson.split({"_id": "a"}, "b").docid == "b"
    assert docjson.split({}, "b").docid == "b"


@pytest.mark.parametrize(
    ("doc", "reason"),
    [
        ({"_foo": 1}, "Bad special document member: _foo"),
        ({"_": 1}, "Bad special document member: _"),
        ({"_deleted": "yes"}, "Bad special document member: _deleted"),
        ({"_deleted": None}, "Bad special document member: _deleted"),
        ({"_deleted": 1}, "Bad special document member: _deleted"),
        ({"_revisions": []}, "Bad special document member: _revisions"),
        ({"_revisions": {"ids": []}}, "_revisions.start isn't an integer."),
        ({"_revisions": {"start": True, "ids": []}}, "_revisions.start isn't an integer."),
        ({"_revisions": {"start": 0, "ids": 5}}, "_revisions.ids isn't a array."),
        ({"_revisions": {"start": 0, "ids": [5]}}, "RevId isn't a string"),
        ({"_revisions": {"start": 1, "ids": ["a", "b"]}}, "_revisions.start is less than"),
        ({"_attachments": []}, "Bad special document member: _attachments"),
        ({"_attachments": {"a": "x"}}, "Bad special document member: _attachments"),
    ],
)
def test_bad_special_members_are_refused(doc: dict[str, Any], reason: str) -> None:
    with pytest.raises(DocValidation) as refused:
        docjson.split(doc)
    assert refused.value.reason.startswith(reason)


@pytest.mark.parametrize("doc", [None, [], "x", 1, True])
def test_a_document_must_be_an_object(doc: object) -> None:
    with pytest.raises(BadRequest, match="Document must be a JSON object"):
        docjson.split(doc)


@pytest.mark.parametrize("docid", [1, None, "", "_x", "_design/", "a\0b"])
def test_a_bad_id_is_refused(docid: object) -> None:
    with pytest.raises(IllegalDocid):
        docjson.split({"_id": docid})


@pytest.mark.parametrize("rev", ["foo", "1", "1-", "-a", "a-1", 1, None, "9" * 5000 + "-a", "1-\0"])
def test_a_bad_revision_is_refused(rev: object) -> None:
    with pytest.raises(BadRequest, match="Invalid rev format"):
        docjson.split({"_rev": rev})


def test_bad_revisions_in_a_history_are_refused() -> None:
    with pytest.raises(BadRequest, match="Invalid rev format"):
        docjson.split({"_revisions": {"start": 2, "ids": ["a", ""]}})


def test_an_attachment_name_with_an_underscore_is_refused() -> None:
    with pytest.raises(BadRequest, match="prohibited character"):
        docjson.split({"_attachments": {"_a": {"data": ""}}})


def test_the_limit_counts_the_body_without_attachments() -> None:
    assert docjson.split({"a": "x" * 92}, max_document=100).body
    assert docjson.split({"_attachments": {"a": {"data": "x" * 999}}}, max_document=100).body
    with pytest.raises(DocumentTooLarge, match="big"):
        docjson.split({"_id": "big", "a": "x" * 93}, max_document=100)


def test_splice_puts_the_document_together() -> None:
    splice = docjson.splice
    assert splice("x", "1-a", b"{}") == b'{"_id":"x","_rev":"1-a"}'
    assert splice("x", "1-a", b'{"b":1e2}') == b'{"_id":"x","_rev":"1-a","b":1e2}'
    assert splice('"', "1-a", b"{}", b'"_deleted":true') == (
        b'{"_id":"\\"","_rev":"1-a","_deleted":true}'
    )
    assert splice("x", "1-a", b'{"b":1}', b'"c":2,"d":3') == (
        b'{"_id":"x","_rev":"1-a","c":2,"d":3,"b":1}'
    )


@pytest.mark.slow
@given(st.dictionaries(st.text("abc", max_size=3), _TREES, max_size=5), _SPACES)
def test_what_was_split_and_spliced_is_the_document(tree: dict[str, Any], space: str) -> None:
    sent = docjson.parse(_written({"_id": "x", **tree}, space, True).encode())
    back = docjson.splice("x", "1-a", docjson.split(sent).body)
    assert back.decode() == _written({"_id": "x", "_rev": "1-a", **tree}, "", False)
