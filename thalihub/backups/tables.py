"""Which tables a backup has, and what their columns are.

All tables of all apps are in it but those that can be made anew or mean nothing elsewhere: rows of
indexes, work in progress, sessions and counts of wrong passwords.  A table that somebody adds is in
it without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps

TIME, TRUTH, JSON, PLAIN = "time", "truth", "json", "plain"
DOCUMENT, REVISION = "couchapi_document", "couchapi_revision"
BLOB, CHUNK = "couchapi_blob", "couchapi_blobchunk"

_BY_DOCUMENT = (DOCUMENT, REVISION, CHUNK)
"""Tables that are read database by database, or blob by blob."""

_LEFT_OUT = (
    "couchapi_index",
    "couchapi_indexrow",
    "couchapi_segment",
    "couchapi_measure",
    "couchapi_work",
    "django_session",
    "axes_accessattempt",
    "axes_accessattemptexpiration",
    "axes_accessfailurelog",
    "axes_accesslog",
    "thalihub_backuprun",
    "thalihub_heartbeat",
)
_KINDS = {"DateTimeField": TIME, "BooleanField": TRUTH, "JSONField": JSON}


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its columns with their kinds, and the column of its key."""

    name: str
    columns: Sequence[tuple[str, str]]
    key: str

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [name for name, _ in self.columns]

    @property
    def selected(self) -> str:
        """The columns as SELECT lists them."""
        return ", ".join(f'"{name}"' for name in self.names)

    def as_said(self) -> dict[str, Any]:
        """Return it for a frame."""
        return {"name": self.name, "columns": list(self.columns)}


def whole() -> Iterator[Table]:
    """Yield the tables of which a backup always has every row."""
    for table in _all():
        if table.name not in (*_BY_DOCUMENT, *_LEFT_OUT):
            yield table


def named(name: str) -> Table:
    """Return one table."""
    return next(table for table in _all() if table.name == name)


def _all() -> Iterator[Table]:
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy and meta.db_table not in _LEFT_OUT:
            columns = [
                (str(one.column), _KINDS.get(one.get_internal_type(), PLAIN))
                for one in meta.local_concrete_fields
            ]
            yield Table(meta.db_table, columns, str(meta.pk.column))
