"""Two versions of a document side by side: their members, and which of them differ."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from couchapi.core import attached
from couchapi.store.documents import Body

_MOST = 200_000
"""Characters of one version that a page shows."""


class Member(NamedTuple):
    """A member of a document, as text; `differs` from the other version's, or is only here."""

    text: str
    differs: bool


class Side(NamedTuple):
    """One version; `is_cut` when it is too long to be shown."""

    members: list[Member]
    is_cut: bool


def compared(one: Body, other: Body) -> tuple[Side, Side]:
    """Return both, each with its members in their own order."""
    left, right = _members(one), _members(other)
    return _side(left, right), _side(right, left)


def _members(body: Body) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(body.body)
    files = attached.decode(body.attachments)
    shown = {name: [one.content_type, one.length, one.digest] for name, one in files.items()}
    return {**members, "_attachments": shown} if shown else members


def _side(members: dict[str, Any], others: dict[str, Any]) -> Side:
    texts = {name: _text(name, value) for name, value in members.items()}
    side = [
        Member(text, name not in others or _text(name, others[name]) != text)
        for name, text in texts.items()
    ]
    if sum(len(text) for text in texts.values()) <= _MOST:
        return Side(side, is_cut=False)
    cut = [one._replace(text=one.text[: _MOST // len(side)]) for one in side[:1000]]
    return Side(cut, is_cut=True)


def _text(name: str, value: object) -> str:
    value_text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return f"{json.dumps(name, ensure_ascii=False)}: {value_text}"
