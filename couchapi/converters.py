"""Path converters: they match still encoded segments and give decoded names.

A path is cut at its slashes before it is decoded, so `%2F` in a database name or a document id is
part of the name (core/names.py).  The lean handler has refused broken escapes before.
"""

from __future__ import annotations

from django.urls import register_converter

from couchapi.core import names
from couchapi.core.errors import BadRequest


class _Name:
    """What is taken as it comes; the endpoint says what is wrong with it."""

    def to_python(self, value: str) -> str:
        """Return the name; raises BadRequest for one that is not percent-encoded UTF-8."""
        return names.decode(value.encode("ascii"))

    def to_url(self, value: str) -> str:
        """Return the name as it came: URLs are only read here."""
        return value


class _Plain(_Name):
    """A name in a database: none has a NUL, and PostgreSQL does not even look for one."""

    def to_python(self, value: str) -> str:
        """Return the name; raises BadRequest, as for a document that was to get it."""
        name = super().to_python(value)
        if "\0" in name:
            raise BadRequest("A name must not contain NUL")
        return name


class DatabaseName(_Name):
    """One segment: a database; illegal names are no routes, so all methods answer 404."""

    regex = r"[a-z][^/]*|_replicator"

    def to_python(self, value: str) -> str:
        """Return the name; ValueError, which Django takes for no route, for an illegal one."""
        name = super().to_python(value)
        if not names.is_database_name(name):
            raise ValueError(name)
        return name


class AnyName(_Name):
    """One segment, whatever it is: what a client may try to create."""

    regex = r"[^/_][^/]*|_users|_global_changes|_replicator"


class Docid(_Plain):
    """An ordinary document's id."""

    regex = r"[^/_][^/]*"

    def to_python(self, value: str) -> str:
        """Return the id; ValueError, so that the routes of their own see them, for others.

        `%5Flocal%2Fx` is a local document: as an ordinary one it would be replicated.
        """
        name = super().to_python(value)
        if names.is_local(name) or names.is_design(name):
            raise ValueError(name)
        return name


class DesignId(_Plain):
    """What follows `_design/`, whose slash may come encoded."""

    regex = r"(?:_|%5[Ff])design(?:/|%2[Ff])[^/]+"


class LocalId(_Plain):
    """A local document's id, with its `_local/`."""

    regex = r"(?:_|%5[Ff])local(?:/|%2[Ff])[^/]+"


class ViewName(_Plain):
    """One segment: a view of a design document."""

    regex = r"[^/]+"


class AttachmentName(_Plain):
    """The rest of the path: an attachment's name may have slashes."""

    regex = r"[^/_].*"


for name, converter in {
    "db": DatabaseName,
    "anydb": AnyName,
    "docid": Docid,
    "design": DesignId,
    "local": LocalId,
    "view": ViewName,
    "attachment": AttachmentName,
}.items():
    register_converter(converter, name)
