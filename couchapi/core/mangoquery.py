"""What is asked of `_find` and `_explain` (CouchDB docs, "api/database/find")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from couchapi.core import mango, mangoindex
from couchapi.core.mangoerrors import InvalidBookmark, InvalidKey, MangoError, MissingKey

_LIMIT = 25
_NONE = ("", "nil", None)


@dataclass(frozen=True, slots=True)
class FindQuery:
    """A query; `use_index` is (design document, name) as far as they were said."""

    selector: Mapping[str, Any]
    limit: int = _LIMIT
    skip: int = 0
    sort: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    bookmark: str = "nil"
    use_index: tuple[str, ...] = ()
    allow_fallback: bool = True
    conflicts: bool = False
    execution_stats: bool = False
    update: bool = True
    r: int = 1

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> FindQuery:
        """Read a request's body; raises BadRequest with Mango's reasons."""
        for name in body:
            if name not in _KNOWN:
                raise InvalidKey(f"Invalid key {name} for this request.")
        if "selector" not in body:
            raise MissingKey("Missing required key: selector")
        mango.compile(body["selector"])
        return cls(
            selector=body["selector"],
            limit=_count(body, "limit", _LIMIT),
            skip=_count(body, "skip", 0),
            sort=mangoindex.orders(body.get("sort") or [], "sort"),
            fields=_fields(body.get("fields")),
            bookmark=_bookmark(body.get("bookmark")),
            use_index=_use_index(body.get("use_index")),
            allow_fallback=_flag(body, "allow_fallback", True),
            conflicts=_flag(body, "conflicts", False),
            execution_stats=_flag(body, "execution_stats", False),
            update=_flag(body, "update", True) and body.get("stale") is None,
            r=_count(body, "r", 1),
        )

    @property
    def descending(self) -> bool:
        """Whether the order that is asked for is the other one."""
        return bool(self.sort) and self.sort[0][1] == "desc"

    def options(self) -> dict[str, Any]:
        """Return the options as `_explain` shows them."""
        return {
            "use_index": list(self.use_index),
            "bookmark": self.bookmark,
            "limit": self.limit,
            "skip": self.skip,
            "sort": dict(self.sort),
            "fields": list(self.fields),
            "partition": "",
            "r": self.r,
            "conflicts": self.conflicts,
            "stale": False,
            "update": self.update,
            "stable": False,
            "execution_stats": self.execution_stats,
            "allow_fallback": self.allow_fallback,
        }


def bookmark(signature: str, place: Sequence[Any]) -> str:
    """Return the text from which the same query goes on after a row."""
    text = orjson.dumps([signature, *place])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def resume(text: str, signature: str) -> list[Any] | None:
    """Return the place of a bookmark, None for the beginning; raises InvalidBookmark."""
    if text in _NONE:
        return None
    try:
        place: list[Any]
        named, *place = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidBookmark from None
    if named != signature:
        raise InvalidBookmark("The bookmark is one of another query, or another index serves now.")
    return place


def projection(fields: Sequence[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what leaves of a document only these fields, those inside others where they are."""
    paths = [mango.parse_field(field) for field in fields]

    def project(document: Mapping[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for path in paths:
            value = mango.value_at(document, path)
            if value is not mango.MISSING:
                _put(kept, path, value)
        return kept

    return project


def _put(kept: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *outer, name = path
    for step in outer:
        inner = kept.get(step)
        kept = kept.setdefault(step, {}) if not isinstance(inner, dict) else inner
    kept[name] = value


def is_place(place: Sequence[Any], *, of_index: bool) -> bool:
    """Tell whether a bookmark's place is one that a row of an index, or a document, can have."""
    if not of_index:
        return len(place) == 1 and _is_docid(place[0])
    key, docid, n = place if len(place) == 3 else (None, None, None)
    return type(key) is list and _is_docid(docid) and type(n) is int and 0 <= n < 2**31


def _is_docid(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _count(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or not 0 <= value < 2**53:
        raise MangoError(
            "invalid_non_neg_integer",
            f"{_text(value)} is not an integer greater than or equal to zero",
        )
    return value


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if type(value) is not bool:
        raise MangoError("invalid_value", f"Value for {name} is {_text(value)}, should be boolean")
    return value


def _fields(value: Any) -> tuple[str, ...]:
    if value is None or value == "all_fields":
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise MangoError(
            "invalid_fields", f"Fields must be an array of strings, not: {_text(value)}"
        )
    for each in value:
        mango.parse_field(each)
    return tuple(value)


def _bookmark(value: Any) -> str:
    if value in _NONE:
        return "nil"
    if not isinstance(value, str):
        raise InvalidBookmark
    return value


def _use_index(value: Any) -> tuple[str, ...]:
    if value is None or value in ("", []):
        return ()
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) > 2 or not all(isinstance(p, str) for p in parts):
        raise MangoError("invalid_index_name", f"Invalid index name: {_text(value)}")
    ddoc, *name = parts
    return ("_design/" + ddoc.removeprefix("_design/"), *name)


_KNOWN = frozenset(
    {
        "selector",
        "limit",
        "skip",
        "sort",
        "fields",
        "bookmark",
        "use_index",
        "allow_fallback",
        "conflicts",
        "execution_stats",
        "update",
        "stable",
        "stale",
        "r",
        "partition",
    }
)
