"""What somebody asks for in CouchDB's words: the body of `_replicate`, a document of `_replicator`.

Each of the two ends is a database of this hub or a URL: httpkey and thaligroup for hubs, https for
other servers (CouchDB docs, "api/server/common", "replication").  With two URLs this hub carries
between others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from couchapi.core import mango
from couchapi.core.names import is_database_name
from replication.core import job
from replication.core.errors import BadJob
from replication.core.job import LOCAL, Direction, Kind, Mode, Priority, Wish
from replication.core.options import LATER, WITH, Options

_NUMBERS = {"limit": "bytes_per_second", "lasts": "lasts"}


class Asked(NamedTuple):
    """A wish, and whether one like it is to end."""

    wish: Wish
    cancel: bool


def read(body: Mapping[str, Any], priority: Priority = Priority.NOW) -> Asked:
    """Understand a request; raises BadJob, BadWindows, and what a selector that is none raises."""
    source, target = (_end(body, name) for name in ("source", "target"))
    mode = Mode.CONTINUOUS if _flag(body, "continuous") else Mode.ONCE
    options, of_ours = _options(body), _of_ours(body, priority)
    if is_database_name(source):
        peer = f"{LOCAL}{target}" if is_database_name(target) else target
        wish = Wish(source, peer, Direction.PUSH, mode, options=options, **of_ours)
    elif is_database_name(target):
        wish = Wish(target, source, Direction.PULL, mode, options=options, **of_ours)
    else:
        wish = _elsewhere(source, target, mode, options, of_ours)
    return Asked(wish, _flag(body, "cancel"))


def _elsewhere(
    source: str, target: str, mode: Mode, options: Options, of_ours: Mapping[str, Any]
) -> Wish:
    """Return the wish that one database elsewhere follows another: this hub only carries."""
    if not {job.kind_of(source), job.kind_of(target)} <= {Kind.HUB, Kind.SERVER}:
        raise BadJob("`source` and `target` are databases of this hub, or URLs.")
    name = job.database_at(target, "")
    if not name or not job.database_at(source, ""):
        raise BadJob("A URL names a database at its end.")
    return Wish(
        name, source, Direction.PULL, mode, options=replace(options, target=target), **of_ours
    )


def _of_ours(body: Mapping[str, Any], priority: Priority) -> dict[str, Any]:
    """Return what a hub understands besides: how urgent, at which hours, how fast, how long."""
    urgent, windows = body.get("priority", priority.value), body.get("windows", "")
    if urgent not in list(Priority):
        raise BadJob("`priority` is now, normal or background.")
    if not isinstance(windows, str):
        raise BadJob("`windows` is a text, such as “Mon-Fri 18:00-20:00”, in UTC.")
    numbers = {name: body.get(field, 0) for name, field in _NUMBERS.items()}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadJob(f"`{_NUMBERS[name]}` is a whole number.")
    return {"priority": Priority(urgent), "windows": windows, **numbers}


def ends(wish: Wish) -> tuple[str, str]:
    """Return source and target as they were asked for."""
    peer = wish.peer.removeprefix(LOCAL)
    pair = (wish.options.target or wish.db_name, peer)
    return pair if wish.direction is Direction.PUSH else pair[::-1]


def _end(body: Mapping[str, Any], name: str) -> str:
    given = body.get(name)
    if isinstance(given, Mapping):
        return _with_credentials(given, name)
    if not isinstance(given, str) or not given:
        raise BadJob(f"`{name}` has to be the name of a database, or a URL.")
    return given


def _with_credentials(given: Mapping[str, Any], name: str) -> str:
    url = given.get("url")
    if not isinstance(url, str) or not url:
        raise BadJob(f"`{name}` needs a `url`.")
    pair = _basic(given.get("auth")) or _of_headers(given.get("headers"), name)
    if pair is None:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user, password = (quote(one, safe="") for one in pair)
    return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


def _basic(auth: Any) -> tuple[str, str] | None:
    basic = auth.get("basic") if isinstance(auth, Mapping) else None
    if not isinstance(basic, Mapping):
        return None
    user, password = basic.get("username"), basic.get("password")
    if not isinstance(user, str) or not isinstance(password, str):
        raise BadJob("`auth.basic` needs a `username` and a `password`.")
    return user, password


def _of_headers(headers: Any, name: str) -> tuple[str, str] | None:
    if not isinstance(headers, Mapping) or not headers:
        return None
    given = {str(key).lower(): str(value) for key, value in headers.items()}
    kind, _, text = given.pop("authorization", "").partition(" ")
    if given or kind.lower() != "basic":
        raise BadJob(f"Of headers, `{name}` takes `Authorization: Basic …` alone.")
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadJob("The header Authorization cannot be read.") from error
    return user, password


def _options(body: Mapping[str, Any]) -> Options:
    doc_ids, selector = body.get("doc_ids"), body.get("selector")
    params, function = body.get("query_params") or {}, body.get("filter")
    if doc_ids is not None and not _all_texts(doc_ids):
        raise BadJob("`doc_ids` has to be an array of ids.")
    if selector is not None:
        if not isinstance(selector, dict):
            raise BadJob("`selector` has to be an object.")
        mango.compile(selector)
    if function is not None and not isinstance(function, str):
        raise BadJob("`filter` names a function: `design/function`.")
    if not isinstance(params, dict):
        raise BadJob("`query_params` has to be an object.")
    attachments = body.get("attachments", WITH)
    if attachments not in (WITH, LATER):
        raise BadJob(f"`attachments` is “{LATER}”, or left out.")
    if [doc_ids, selector, function].count(None) < 2:
        raise BadJob("`doc_ids`, `filter` and `selector` cannot be used together.")
    return Options(
        filter=function,
        query_params={str(name): str(value) for name, value in params.items()},
        doc_ids=None if doc_ids is None else tuple(doc_ids),
        selector=selector,
        since_seq=_since(body.get("since_seq")),
        winning_revs_only=_flag(body, "winning_revs_only"),
        create_target=_flag(body, "create_target"),
        attachments=attachments,
    )


def _all_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _since(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise BadJob("`since_seq` is a sequence of the source.")
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadJob(f"`{name}` is true or false.")
    return value
