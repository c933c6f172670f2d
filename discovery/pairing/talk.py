"""Asking another hub: one message, one answer, and what a refusal means to the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from acl.core.errors import HubError
from discovery.core import errors, messages
from discovery.dialer import Session
from discovery.dialer.broken import BROKEN

_PATH: Final = "/_thali/pair/v1/"
_LARGEST_ANSWER: Final = 16_384

_ANSWERS: Final[Mapping[int, type[errors.PairingError]]] = {
    403: errors.NotArmed,
    409: errors.WrongState,
    410: errors.InvitationExpired,
    422: errors.CodesDiffer,
    429: errors.Locked,
}
_ANSWERS_TO: Final[Mapping[tuple[str, int], type[errors.PairingError]]] = {
    ("qr", 403): errors.NotOffered,
    ("qr", 409): errors.UsedTwice,
    ("reveal", 422): errors.BadCommitment,
    ("card", 422): errors.KeyChanged,
}


async def post(session: Session, name: str, body: bytes) -> bytes:
    """Send a message and return the answer's body.

    Raises UnreachableError, and the PairingError that the other side answers with.
    """
    return await _ask(session, name, "POST", content=body)


async def status(session: Session, sid: str, wait: int) -> str:
    """Return what the other side says of a pairing; it answers after `wait` seconds at the latest.

    Raises like `post`.
    """
    body = await _ask(
        session, "status", "GET", params={"sid": sid, "wait": wait}, timeout=wait + 15
    )
    return str(messages.read("status", body)["state"])


async def _ask(session: Session, name: str, method: str, **options: Any) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    try:
        async with session.client.stream(
            method, _PATH + name, headers=headers, **options
        ) as answer:
            body = await _read(answer)
    except BROKEN as error:
        raise errors.UnreachableError from error
    if answer.status_code != 200:
        raise _refusal(name, answer.status_code)
    return body


async def _read(answer: httpx.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _LARGEST_ANSWER:
            raise errors.MessageError
    return body


def _refusal(name: str, status_code: int) -> HubError:
    """Return the error; its text is ours, whatever the other hub has written."""
    kind = _ANSWERS_TO.get((name, status_code)) or _ANSWERS.get(status_code)
    return kind() if kind is not None else errors.MessageError()
