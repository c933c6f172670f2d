"""Query parameters, read once into typed values, with CouchDB's reasons for those it refuses.

CouchDB reads booleans in two ways and clients rely on both: documents and `_changes` ignore what
is not the word `true` (chttpd_db), lists of documents refuse it (couch_mrview_http).  A parameter
that is not known is ignored, unless CouchDB would have shown other rows for it: then the request
is refused, so that nobody takes the whole for the part that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from couchapi.core import docjson
from couchapi.core.errors import BadRequest, NotFound, QueryParseError

MAX_COUNT = 2**63 - 1
DEFAULT_HEARTBEAT = 60_000
FEEDS = frozenset({"normal", "longpoll", "continuous", "eventsource"})

_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_KEY_MEMBERS = ("key", "startkey", "start_key", "endkey", "end_key")


def boolean(value: object) -> bool:
    """Return a boolean of a query string or a JSON body; raises QueryParseError."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word not in ("true", "false"):
        raise QueryParseError(f"Invalid boolean parameter: {_quoted(value)}")
    return word == "true"


def count(value: object) -> int:
    """Return a number from 0 to `MAX_COUNT`, larger ones as that; raises QueryParseError."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
    else:
        raise QueryParseError(f"Invalid value for integer: {_quoted(value)}")
    if number < 0:
        raise QueryParseError(f"Invalid value for positive integer: {_quoted(value)}")
    return min(number, MAX_COUNT)


def json_value(text: str) -> Any:
    """Return a JSON value of a query string; raises BadRequest."""
    try:
        return docjson.parse_plain(text.encode())
    except UnicodeEncodeError:
        raise BadRequest from None


def revisions(value: object) -> tuple[str, ...]:
    """Return a list of revisions; raises BadRequest."""
    if not isinstance(value, list):
        raise BadRequest("Invalid list of revisions")
    return tuple(docjson.check_rev(rev) for rev in value)


def refuse_unsupported(pairs: Mapping[str, Any]) -> None:
    """Refuse what would show something else than CouchDB shows: NotFound or QueryParseError."""
    if "callback" in pairs:  # JSONP would let any page read with the owner's certificate.
        raise NotFound("JSONP is not supported.")
    if "partition" in pairs:
        raise QueryParseError("`partition` is not supported.")


@dataclass(frozen=True, slots=True)
class DocumentQuery:
    """What is asked of one document; `open_revs` is "all", revisions or None."""

    rev: str | None = None
    revs: bool = False
    revs_info: bool = False
    open_revs: str | tuple[str, ...] | None = None
    latest: bool = False
    conflicts: bool = False
    deleted_conflicts: bool = False
    meta: bool = False
    local_seq: bool = False
    attachments: bool = False
    att_encoding_info: bool = False
    atts_since: tuple[str, ...] | None = None
    new_edits: bool = True
    batch: bool = False

    @classmethod
    def from_query(cls, pairs: Mapping[str, str]) -> DocumentQuery:
        """Read the parameters of document and attachment requests and of `_bulk_get`.

        Raises BadRequest, QueryParseError.
        """
        if not pairs:
            return _PLAIN_DOCUMENT
        refuse_unsupported(pairs)
        meta = _is_true(pairs, "meta")
        return cls(
            rev=docjson.check_rev(pairs["rev"]) if "rev" in pairs else None,
            revs=_is_true(pairs, "revs"),
            revs_info=meta or _is_true(pairs, "revs_info"),
            open_revs=_open_revs(pairs.get("open_revs")),
            latest=_is_true(pairs, "latest"),
            conflicts=meta or _is_true(pairs, "conflicts"),
            deleted_conflicts=meta or _is_true(pairs, "deleted_conflicts"),
            meta=meta,
            local_seq=_is_true(pairs, "local_seq"),
            attachments=_is_true(pairs, "attachments"),
            att_encoding_info=_is_true(pairs, "att_encoding_info"),
            atts_since=revisions(json_value(pairs["atts_since"]))
            if "atts_since" in pairs
            else None,
            new_edits=boolean(pairs.get("new_edits", True)),
            batch=pairs.get("batch") == "ok",
        )

    @property
    def has_etag(self) -> bool:
        """Tell whether the answer depends on the revision alone (couch-api.md, "Headers")."""
        return not (self.revs_info or self.conflicts or self.deleted_conflicts or self.local_seq)


_PLAIN_DOCUMENT = DocumentQuery()


class KeyRange(NamedTuple):
    """From where to where a list of ids runs, in its own direction; None is open."""

    start: str | None
    end: str | None
    inclusive_end: bool

    def holds(self, name: str, *, descending: bool) -> bool:
        """Tell whether a list in this direction shows `name`."""
        if name == self.end and not self.inclusive_end:
            return False
        low, high = (self.end, self.start) if descending else (self.start, self.end)
        return (low is None or name >= low) and (high is None or name <= high)


@dataclass(frozen=True, slots=True)
class AllDocsQuery:
    """What is asked of a list in the order of ids; keys are any JSON, `...` where not given."""

    key: Any = ...
    keys: tuple[Any, ...] | None = None
    startkey: Any = ...
    endkey: Any = ...
    inclusive_end: bool = True
    descending: bool = False
    skip: int = 0
    limit: int | None = None
    include_docs: bool = False
    conflicts: bool = False
    attachments: bool = False
    att_encoding_info: bool = False
    update_seq: bool = False

    @classmethod
    def from_query(cls, pairs: Mapping[str, str]) -> AllDocsQuery:
        """Read the parameters of a GET; raises BadRequest, QueryParseError."""
        return cls._read({name: _decoded(name, value) for name, value in pairs.items()})

    @classmethod
    def from_body(
        cls, body: Mapping[str, Any], pairs: Mapping[str, str] | None = None
    ) -> AllDocsQuery:
        """Read the parameters of a POST: those of its body go before those of its URL."""
        asked = {name: _decoded(name, value) for name, value in (pairs or {}).items()}
        return cls._read({**asked, **body})

    @classmethod
    def many_from_body(cls, body: Mapping[str, Any]) -> list[AllDocsQuery]:
        """Read the `queries` of a POST to `_all_docs/queries`; raises BadRequest."""
        queries = body.get("queries")
        if not isinstance(queries, list) or not all(isinstance(each, dict) for each in queries):
            raise BadRequest("`queries` member must be an array.")
        return [cls.from_body(each) for each in queries]

    @classmethod
    def _read(cls, asked: Mapping[str, Any]) -> AllDocsQuery:
        refuse_unsupported(asked)
        _refuse_reducing(asked)
        return cls(
            key=asked.get("key", ...),
            keys=_keys(asked),
            startkey=asked.get("startkey", asked.get("start_key", ...)),
            endkey=asked.get("endkey", asked.get("end_key", ...)),
            inclusive_end=boolean(asked.get("inclusive_end", True)),
            descending=boolean(asked.get("descending", False)),
            skip=count(asked.get("skip", 0)),
            limit=count(asked["limit"]) if "limit" in asked else None,
            include_docs=boolean(asked.get("include_docs", False)),
            conflicts=boolean(asked.get("conflicts", False)),
            attachments=boolean(asked.get("attachments", False)),
            att_encoding_info=boolean(asked.get("att_encoding_info", False)),
            update_seq=boolean(asked.get("update_seq", False)),
        )

    def key_range(self) -> KeyRange | None:
        """Return the range of ids asked for; None where no id can be in it.

        Keys of other types than string are before (null, booleans, numbers) or after (arrays,
        objects) all ids, as in CouchDB's order of JSON values.
        """
        if self.key is not ...:
            return KeyRange(self.key, self.key, True) if isinstance(self.key, str) else None
        start_side, end_side = _side(self.startkey), _side(self.endkey)
        forward = -1 if self.descending else 1
        if start_side * forward > 0 or end_side * forward < 0:
            return None
        start = self.startkey if isinstance(self.startkey, str) else None
        end = self.endkey if isinstance(self.endkey, str) else None
        return KeyRange(start, end, self.inclusive_end)

    def apply(self, names: Sequence[str]) -> list[str]:
        """Return the part of the ascending `names` that is asked for, in the order asked for."""
        within = self.key_range()
        if within is None:
            return []
        found = [name for name in names if within.holds(name, descending=self.descending)]
        ordered = found[::-1] if self.descending else found
        return ordered[self.skip :][: self.limit]


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """What is asked of `_changes`; `heartbeat` and `timeout` are milliseconds.

    `since` is the text that was sent, for core/sequence.py.  `filter` is None, one of CouchDB's
    own (`_doc_ids`, `_selector`, `_design`, `_view`) or `ddoc/name`.
    """

    feed: str = "normal"
    since: str = "0"
    limit: int | None = None
    descending: bool = False
    style: str = "main_only"
    include_docs: bool = False
    attachments: bool = False
    att_encoding_info: bool = False
    conflicts: bool = False
    revs: bool = False
    heartbeat: int | None = None
    timeout: int | None = None
    seq_interval: int | None = None
    filter: str | None = None
    view: str | None = None
    doc_ids: tuple[str, ...] | None = None
    selector: Mapping[str, Any] | None = None

    @classmethod
    def from_query(
        cls,
        pairs: Mapping[str, str],
        *,
        body: Mapping[str, Any] | None = None,
        last_event_id: str | None = None,
    ) -> ChangesQuery:
        """Read the parameters; `last_event_id` is an EventSource's header.

        A POST may bring `doc_ids` or `selector` in its body.  Raises BadRequest, QueryParseError.
        """
        refuse_unsupported(pairs)
        feed = _feed(pairs.get("feed", "normal"))
        since = pairs.get("last-event-id", pairs.get("since", "0"))
        name = _filter_name(pairs)
        return cls(
            feed=feed,
            since=last_event_id if last_event_id and feed == "eventsource" else since,
            limit=count(pairs["limit"]) if "limit" in pairs else None,
            descending=_is_true(pairs, "descending"),
            style=_style(pairs.get("style", "main_only")),
            include_docs=_is_true(pairs, "include_docs"),
            attachments=_is_true(pairs, "attachments"),
            att_encoding_info=_is_true(pairs, "att_encoding_info"),
            conflicts=_is_true(pairs, "conflicts"),
            revs=_is_true(pairs, "revs"),
            heartbeat=_heartbeat(pairs.get("heartbeat")),
            timeout=count(pairs["timeout"]) if "timeout" in pairs else None,
            seq_interval=_positive(pairs.get("seq_interval"), "invalid_seq_interval"),
            filter=name,
            view=_view(pairs.get("view")) if name == "_view" else None,
            doc_ids=_doc_ids(pairs, body) if name == "_doc_ids" else None,
            selector=_selector(body) if name == "_selector" else None,
        )


def _is_true(pairs: Mapping[str, str], name: str) -> bool:
    return pairs.get(name) == "true"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _open_revs(text: str | None) -> str | tuple[str, ...] | None:
    if text is None or text == "all":
        return text
    return revisions(json_value(text))


def _decoded(name: str, value: str) -> Any:
    return json_value(value) if name in _KEY_MEMBERS or name == "keys" else value


def _keys(asked: Mapping[str, Any]) -> tuple[Any, ...] | None:
    keys = asked.get("keys")
    if keys is None:
        return None
    if not isinstance(keys, list):
        raise BadRequest("`keys` member must be an array.")
    if any(name in asked for name in _KEY_MEMBERS):
        raise QueryParseError("`keys` is incompatible with `key`, `start_key` and `end_key`.")
    return tuple(keys)


def _refuse_reducing(asked: Mapping[str, Any]) -> None:
    for name in ("reduce", "group", "group_level"):
        if str(asked.get(name, "false")).lower() != "false":
            raise QueryParseError(f"`{name}` is invalid for map-only views.")


def _side(key: object) -> int:
    """Return -1 for a key before all strings, 1 for one after all, 0 for strings and none."""
    if key is ... or isinstance(key, str):
        return 0
    return 1 if isinstance(key, (list, dict)) else -1


def _feed(word: str) -> str:
    feed = "continuous" if word == "live" else word
    if feed not in FEEDS:
        raise BadRequest("Supported `feed` types: normal, continuous, live, longpoll, eventsource")
    return feed


def _style(word: str) -> str:
    if word not in ("main_only", "all_docs"):
        raise QueryParseError("Supported `style` values: main_only, all_docs")
    return word


def _heartbeat(text: str | None) -> int | None:
    if text == "true":
        return DEFAULT_HEARTBEAT
    if text is not None and not _INTEGER.fullmatch(text):
        raise BadRequest(
            "Invalid heartbeat value. Expecting a positive integer value (in milliseconds)."
        )
    return _positive(text, "The heartbeat value should be a positive integer (in milliseconds).")


def _positive(text: str | None, reason: str) -> int | None:
    if text is None:
        return None
    if not _INTEGER.fullmatch(text) or int(text) <= 0:
        raise BadRequest(reason)
    return min(int(text), MAX_COUNT)


def _filter_name(pairs: Mapping[str, str]) -> str | None:
    name = pairs.get("filter") or None
    if name is None or name in ("_doc_ids", "_selector", "_design", "_view"):
        return name
    if name.startswith("_"):
        raise BadRequest("unknown builtin filter name")
    if not all(name.partition("/")):
        raise BadRequest("filter must be of the form `designname/filtername`")
    return name


def _view(name: str | None) -> str:
    if not name:
        raise BadRequest("`view` filter parameter is not provided.")
    if not all(name.partition("/")):
        raise BadRequest("`view` must be of the form `designname/viewname`")
    return name


def _doc_ids(pairs: Mapping[str, str], body: Mapping[str, Any] | None) -> tuple[str, ...]:
    value = body.get("doc_ids") if body else None
    if value is None and "doc_ids" in pairs:
        value = json_value(pairs["doc_ids"])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadRequest("`doc_ids` filter parameter is not a list of doc ids.")
    return tuple(value)


def _selector(body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if body is None:
        raise BadRequest("Selector must be specified in POST payload")
    selector = body.get("selector")
    if not isinstance(selector, dict):
        raise BadRequest("Selector error: expected a JSON object")
    return selector
