"""Path converters: they match still encoded segments and give decoded names.

A path is cut at its slashes before it is decoded, so `%2F` in a database name or a document id is
part of the name (core/names.py).  The lean handler has refused broken escapes before.
"""

from __future__ import annotations

from django.urls import register_converter

from couchapi.core import names


class DatabaseName:
    """One segment: a database; illegal names are no routes, so GET answers 404."""

    regex = r"[a-z][^/]*"

    def to_python(self, value: str) -> str:
        """Return the name; raises BadRequest for one that is not percent-encoded UTF-8."""
        return names.decode(value.encode("ascii"))

    def to_url(self, value: str) -> str:
        """Return the name as it came: URLs are only read here."""
        return value


class AnyName(DatabaseName):
    """One segment, whatever it is: what a client may try to create."""

    regex = r"[^/_][^/]*|_users|_global_changes"


class Docid(DatabaseName):
    """An ordinary document's id."""

    regex = r"[^/_][^/]*"


class DesignId(DatabaseName):
    """What follows `_design/`, whose slash may come encoded."""

    regex = r"_design(?:/|%2[Ff])[^/]+"


class LocalId(DatabaseName):
    """A local document's id, with its `_local/`."""

    regex = r"_local(?:/|%2[Ff])[^/]+"


class AttachmentName(DatabaseName):
    """The rest of the path: an attachment's name may have slashes."""

    regex = r"[^/_].*"


for name, converter in {
    "db": DatabaseName,
    "anydb": AnyName,
    "docid": Docid,
    "design": DesignId,
    "local": LocalId,
    "attachment": AttachmentName,
}.items():
    register_converter(converter, name)
