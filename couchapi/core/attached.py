"""What is known of an attachment besides its content."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment of one revision; `blob` names its content in the store.

    `length` is in bytes as a client sees it; `encoded_length` as stored, where it is compressed.
    `revpos` is the generation of the edit that brought this content.
    """

    blob: int
    content_type: str
    digest: str
    length: int
    revpos: int
    encoding: str | None = None
    encoded_length: int | None = None

    def stub(self, encoding_info: bool = False) -> dict[str, Any]:
        """Return what a document shows instead of the content."""
        shown: dict[str, Any] = {
            "content_type": self.content_type,
            "revpos": self.revpos,
            "digest": self.digest,
            "length": self.length,
            "stub": True,
        }
        return {**shown, **self.stored_form()} if encoding_info else shown

    def stored_form(self) -> dict[str, Any]:
        """Return how the content is stored, where that is not as a client sees it."""
        if self.encoding is None:
            return {}
        return {"encoding": self.encoding, "encoded_length": self.encoded_length}

    @property
    def stored_length(self) -> int:
        """Bytes of the content as stored, and as sent in multipart answers."""
        return self.length if self.encoded_length is None else self.encoded_length


def encode(attached: Mapping[str, Attached]) -> bytes | None:
    """Return the text that a revision keeps, None for no attachments."""
    if not attached:
        return None
    return orjson.dumps({name: asdict(one) for name, one in attached.items()})


def decode(text: bytes | None) -> dict[str, Attached]:
    """Return the attachments of a revision, by name."""
    if text is None:
        return {}
    return {name: Attached(**members) for name, members in orjson.loads(text).items()}


def digest_of(content: bytes) -> str:
    """Return CouchDB's name for a content: `md5-` and the base64 of its MD5."""
    return digest_text(hashlib.md5(content, usedforsecurity=False).digest())


def digest_text(md5: bytes) -> str:
    """Return the text of an MD5 value."""
    return "md5-" + base64.b64encode(md5).decode()
