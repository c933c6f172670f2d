"""Mango's indexes: how they are asked for, kept and built (CouchDB docs, "api/database/find").

An index stands in a design document of the language `query`, one view for each, in CouchDB's own
form, so that it replicates.  Its rows are those of a view whose key is the array of the fields'
values; a document that lacks one of the fields has no row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from couchapi.core import mango
from couchapi.core.errors import BadRequest
from couchapi.core.mangoerrors import InvalidIndex, MangoError, MissingKey

LANGUAGE = "query"
_MOST_FIELDS = 100


class Index(NamedTuple):
    """One index; `ddoc` is None for the one that is always there, `_all_docs`."""

    ddoc: str | None
    name: str
    fields: tuple[tuple[str, str], ...]
    """(field, asc or desc)."""
    partial: bytes = b"{}"
    """JSON of the selector of the documents that are in it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(field for field, _ in self.fields)

    @property
    def signature(self) -> str:
        """What its rows depend on: indexes that are alike share them."""
        text = orjson.dumps([LANGUAGE, self.columns]) + self.partial
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def described(self) -> dict[str, Any]:
        """Return it as `_index` and `_explain` show it."""
        shown: dict[str, Any] = {"fields": [{field: order} for field, order in self.fields]}
        if self.partial != b"{}":
            shown["partial_filter_selector"] = orjson.loads(self.partial)
        head = {"ddoc": self.ddoc, "name": self.name}
        if self.ddoc is None:
            return {**head, "type": "special", "def": shown}
        return {**head, "type": "json", "partitioned": False, "def": shown}

    def view(self) -> dict[str, Any]:
        """Return the view that stands for it in a design document."""
        partial = orjson.loads(self.partial)
        defined: dict[str, Any] = {"fields": [{field: order} for field, order in self.fields]}
        if partial:
            defined["partial_filter_selector"] = partial
        return {
            "map": {"fields": dict(self.fields), "partial_filter_selector": partial},
            "reduce": "_count",
            "options": {"def": defined},
        }


ALL_DOCS = Index(None, "_all_docs", (("_id", "asc"),))


def asked(body: Mapping[str, Any]) -> Index:
    """Return the index that a request wants made; raises BadRequest.

    Without names it gets CouchDB's: a hash of what it is.
    """
    if body.get("type", "json") != "json":
        raise InvalidIndex(f"Invalid type for index: {body['type']}")
    definition = body.get("index")
    if not isinstance(definition, dict):
        raise MissingKey("Missing required key: index")
    index = _defined(None, "", definition)
    name = _named(body.get("name"), "name") or _hash(index)
    ddoc = _named(body.get("ddoc"), "ddoc") or _hash(index)
    return index._replace(ddoc="_design/" + ddoc.removeprefix("_design/"), name=name)


def of_design(docid: str, design: Mapping[str, Any]) -> list[Index]:
    """Return the indexes of a design document; what cannot be read as one is left out."""
    views = design.get("views")
    if design.get("language") != LANGUAGE or not isinstance(views, dict):
        return []
    found = []
    for name, view in sorted(views.items()):
        try:
            found.append(_defined(docid, name, view["options"]["def"]))
        except (BadRequest, KeyError, TypeError):
            continue
    return found


def key_of(document: Mapping[str, Any], paths: Sequence[tuple[str, ...]]) -> list[Any] | None:
    """Return the values of the fields, None where one is missing."""
    key = [mango.value_at(document, path) for path in paths]
    return None if any(value is mango.MISSING for value in key) else key


def orders(fields: Any, what: str) -> tuple[tuple[str, str], ...]:
    """Read a list of fields with their directions; raises BadRequest."""
    if not isinstance(fields, list) or len(fields) > _MOST_FIELDS:
        raise MangoError(
            "invalid_sort_json", f"`{what}` must be an array of at most {_MOST_FIELDS} fields."
        )
    read = tuple(_order(field, what) for field in fields)
    if len({direction for _, direction in read}) > 1:
        raise MangoError(
            "unsupported_mixed_sort",
            "Sorts currently only support a single direction for all fields.",
        )
    return read


def _order(field: Any, what: str) -> tuple[str, str]:
    if isinstance(field, str):
        name, direction = field, "asc"
    elif isinstance(field, dict) and len(field) == 1:
        ((name, direction),) = field.items()
    else:
        raise MangoError(
            "invalid_sort_field", f"Invalid sort field: {orjson.dumps(field).decode()}"
        )
    if direction not in ("asc", "desc"):
        raise MangoError("invalid_sort_dir", f"Invalid sort direction of the field {name}.")
    mango.parse_field(name)
    return name, direction


def _defined(docid: str | None, name: str, definition: Mapping[str, Any]) -> Index:
    fields = orders(definition.get("fields"), "fields")
    if not fields:
        raise InvalidIndex("An index needs at least one field.")
    partial = definition.get("partial_filter_selector") or {}
    mango.compile(partial)
    text = orjson.dumps(partial, option=orjson.OPT_SORT_KEYS)
    return Index(docid, name, fields, text)


def _named(value: Any, what: str) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise MangoError(f"invalid_index_{what}", f"Invalid {what} of an index: it must be a text.")
    return value


def _hash(index: Index) -> str:
    text = orjson.dumps([index.fields, orjson.loads(index.partial)])
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()
