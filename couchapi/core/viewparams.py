"""What is asked of a view, read once, with CouchDB's reasons for what it refuses.

Some parameters are judged only when it is known whether the view reduces (couch_mrview_util.erl,
validate_args), so `checked` comes after the view was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from couchapi.core import params, sortkey
from couchapi.core.errors import BadRequest, BodyTooLarge, QueryParseError

Position = tuple[bytes, str, int]
"""Sort key, document id, n (store/segments.py)."""

MOST_KEYS = 50_000
MOST_QUERIES = 1000
_LAST_N = 2**31 - 1
_BOTTOM: Position = (sortkey.MIN, "", 0)
_TOP: Position = (b"\xff", "", 0)

_UPDATES = {"true": "true", "false": "false", "lazy": "lazy", True: "true", False: "false"}
_STALE = {"ok": "false", "update_after": "lazy"}
_SYNONYMS = {
    "start_key": "startkey",
    "end_key": "endkey",
    "startkey_docid": "start_key_doc_id",
    "endkey_docid": "end_key_doc_id",
}


class Range(NamedTuple):
    """Rows from one position, included, to another, which is not."""

    low: Position = _BOTTOM
    high: Position = _TOP


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """What is asked of a view; keys are any JSON, `...` where not given.

    `group_level` None stands for whole keys, 0 for one group of all rows.
    """

    keys: tuple[Any, ...] | None = None
    startkey: Any = ...
    endkey: Any = ...
    start_docid: str | None = None
    end_docid: str | None = None
    inclusive_end: bool = True
    descending: bool = False
    skip: int = 0
    limit: int | None = None
    reduce: bool | None = None
    group_level: int | None = 0
    include_docs: bool = False
    conflicts: bool | None = None
    attachments: bool = False
    att_encoding_info: bool = False
    update: str = "true"
    update_seq: bool = False

    @classmethod
    def from_query(cls, pairs: Mapping[str, str]) -> ViewQuery:
        """Read the parameters of a GET; raises BadRequest, QueryParseError."""
        return cls._read(_decoded(pairs))

    @classmethod
    def from_body(
        cls, body: Mapping[str, Any], pairs: Mapping[str, str] | None = None
    ) -> ViewQuery:
        """Read the parameters of a POST: those of its body go before those of its URL."""
        return cls._read({**_decoded(pairs or {}), **_named(body)})

    @classmethod
    def many_from_body(
        cls, body: Mapping[str, Any], pairs: Mapping[str, str] | None = None
    ) -> list[ViewQuery]:
        """Read the `queries` of a POST to `_view/v/queries`; raises BadRequest."""
        queries = body.get("queries")
        if not isinstance(queries, list) or not all(isinstance(each, dict) for each in queries):
            raise BadRequest("`queries` member must be an array.")
        if len(queries) > MOST_QUERIES:
            raise BodyTooLarge(f"One request takes at most {MOST_QUERIES} queries.")
        return [cls.from_body(each, pairs) for each in queries]

    @classmethod
    def _read(cls, asked: Mapping[str, Any]) -> ViewQuery:
        params.refuse_unsupported(asked)
        flags = {name: params.boolean(asked[name]) for name in _FLAGS if name in asked}
        for name in ("stable", "sorted"):  # One index serves every request, and in order.
            params.boolean(asked.get(name, True))
        conflicts = asked.get("conflicts")
        return cls(
            keys=_keys(asked),
            startkey=asked.get("key", asked.get("startkey", ...)),
            endkey=asked.get("key", asked.get("endkey", ...)),
            start_docid=_docid(asked, "start_key_doc_id", "start_key_docid"),
            end_docid=_docid(asked, "end_key_doc_id", "end_key_docid"),
            skip=params.count(asked.get("skip", 0)),
            limit=params.count(asked["limit"]) if "limit" in asked else None,
            reduce=params.boolean(asked["reduce"]) if "reduce" in asked else None,
            group_level=_group_level(asked),
            conflicts=None if conflicts is None else params.boolean(conflicts),
            update=_update(asked),
            **flags,
        )

    def checked(self, *, has_reduce: bool) -> ViewQuery:
        """Return the query with `reduce` decided; raises QueryParseError where it does not fit."""
        if self.reduce and not has_reduce:
            raise QueryParseError("Reduce is invalid for map-only views.")
        reduces = has_reduce and self.reduce is not False
        if reduces:
            self._check_reducing()
        elif self.group_level != 0:
            raise QueryParseError("Invalid use of grouping on a map view.")
        self._check_range()
        return _replaced(self, reduce=reduces)

    def ranges(self) -> list[Range]:
        """Return the ranges of rows that are asked for, in the order asked for."""
        if self.keys is None:
            return [self._range(self.startkey, self.endkey)]
        keys = self.keys[::-1] if self.descending else self.keys
        return [self._range(key, key) for key in keys]

    @property
    def shows_documents(self) -> bool:
        """Whether more than the view's rows is asked for."""
        return bool(
            self.include_docs or self.conflicts or self.attachments or self.att_encoding_info
        )

    def _check_reducing(self) -> None:
        if self.keys is not None and self.group_level is not None:
            raise QueryParseError("Multi-key fetches for reduce views must use `group=true`")
        if self.include_docs:
            raise QueryParseError("`include_docs` is invalid for reduce")
        if self.conflicts is not None:
            raise QueryParseError("`conflicts` is invalid for reduce views.")

    def _check_range(self) -> None:
        if self.keys is not None or self.startkey is ... or self.endkey is ...:
            return
        low, high = self._range(self.startkey, self.endkey)
        if low > high and self.startkey != self.endkey:
            raise QueryParseError(
                "No rows can match your key range, reverse your start_key and end_key or set "
                f"descending={'false' if self.descending else 'true'}"
            )

    def _range(self, start: Any, end: Any) -> Range:
        if not self.descending:
            low = _BOTTOM if start is ... else (sortkey.encode(start), self.start_docid or "", 0)
            return Range(low, self._end(end))
        high = _TOP if start is ... else _from(sortkey.encode(start), self.start_docid)
        return Range(self._end_downwards(end), high)

    def _end(self, end: Any) -> Position:
        if end is ...:
            return _TOP
        key = sortkey.encode(end)
        return _from(key, self.end_docid) if self.inclusive_end else (key, self.end_docid or "", 0)

    def _end_downwards(self, end: Any) -> Position:
        if end is ...:
            return _BOTTOM
        key = sortkey.encode(end)
        return (key, self.end_docid or "", 0) if self.inclusive_end else _from(key, self.end_docid)


_FLAGS = (
    "inclusive_end",
    "descending",
    "include_docs",
    "attachments",
    "att_encoding_info",
    "update_seq",
)


def _replaced(query: ViewQuery, **changes: Any) -> ViewQuery:
    members = {name: getattr(query, name) for name in ViewQuery.__slots__}
    return ViewQuery(**members | changes)


def _from(key: bytes, docid: str | None) -> Position:
    """Return the position just above the rows of a key, or of its documents up to `docid`."""
    return (sortkey.after(key), "", 0) if docid is None else (key, docid, _LAST_N)


def _decoded(pairs: Mapping[str, str]) -> dict[str, Any]:
    named = _named({name: value for name, value in pairs.items() if value != ""})
    for name in ("key", "keys", "startkey", "endkey"):
        if name in named:
            named[name] = params.json_value(named[name])
    return named


def _named(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {_SYNONYMS.get(name, name): value for name, value in asked.items()}


def _keys(asked: Mapping[str, Any]) -> tuple[Any, ...] | None:
    keys = asked.get("keys")
    if keys is None:
        return None
    if not isinstance(keys, list):
        raise QueryParseError("`keys` must be an array of strings.")
    if len(keys) > MOST_KEYS:
        raise BodyTooLarge(f"One request takes at most {MOST_KEYS} keys.")
    if keys and any(name in asked for name in ("key", "startkey", "endkey")):
        raise QueryParseError("`keys` is incompatible with `key`, `start_key` and `end_key`")
    return tuple(keys)


def _docid(asked: Mapping[str, Any], name: str, shown: str) -> str | None:
    docid = asked.get(name)
    if docid is None:
        return None
    if not isinstance(docid, str):
        raise QueryParseError(f"`{shown}` must be a string.")
    # No id holds a NUL, and PostgreSQL does not even compare with one.
    return docid.partition("\0")[0] + "\1" if "\0" in docid else docid


def _group_level(asked: Mapping[str, Any]) -> int | None:
    group = params.boolean(asked["group"]) if "group" in asked else None
    level = params.count(asked["group_level"]) if "group_level" in asked else None
    if group is False and level:
        raise QueryParseError("Can't specify group=false and group_level>0 at the same time")
    return level or 0 if level is not None or not group else None


def _update(asked: Mapping[str, Any]) -> str:
    update = _chosen(_STALE, asked, "stale") if "stale" in asked else "true"
    return _chosen(_UPDATES, asked, "update") if "update" in asked else update


def _chosen(words: Mapping[Any, str], asked: Mapping[str, Any], name: str) -> str:
    value = asked[name]
    if isinstance(value, list | dict) or value not in words:
        raise QueryParseError(f"Invalid value for `{name}`.")
    return words[value]
