"""`GET /_node/_local/_prometheus`: the hub's figures for Prometheus, for its owner alone.

Names are of the hub; labels name databases and concerns, never a person (the text format is
Prometheus' "Exposition formats", version 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import time
from typing import Any, NamedTuple

from channels.db import database_sync_to_async as in_database
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from acl import sql
from acl.core.policy import Right
from couchapi.endpoints.base import Endpoint
from couchapi.store import databases, space
from thalihub import doctor, refusals
from thalihub.backups.store import runs
from thalihub.doctor import Finding, Light

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VALUES = {Light.GREEN: 0, Light.OFF: 0, Light.AMBER: 1, Light.RED: 2}


class _Figure(NamedTuple):
    name: str
    help: str
    values: Sequence[tuple[Mapping[str, str], float]]
    kind: str = "gauge"


class Metrics(Endpoint):
    """The figures."""

    rights = {"GET": Right.OWNER}

    async def get(self, request: Any, node: str) -> HttpResponseBase:
        """Measure, in a thread: it reads many tables."""
        return HttpResponse(await in_database(_text)(), content_type=_TYPE)


def _text() -> str:
    return "".join(_told(one) for one in _figures())


def _figures() -> Iterator[_Figure]:
    rows = sql.read_sync(databases.everything)
    for name, said, member in (
        ("documents", "Documents that are not deleted", "doc_count"),
        ("size_bytes", "Bodies and attachments", "body_size"),
        ("update_seq", "The newest sequence number", "update_seq"),
    ):
        of_each = [({"database": row.name}, getattr(row, member)) for row in rows]
        yield _Figure(f"thali_database_{name}", said, of_each)
    disk = space.look()
    yield _Figure("thali_disk_free_bytes", "Free for the hub", [({}, disk.free + disk.reusable)])
    yield _Figure("thali_disk_total_bytes", "Of the disk", [({}, disk.total)])
    yield _Figure("thali_concern", "0 good or off, 1 amber, 2 red", _lights(doctor.examine()))
    refused = [({"why": why.name.lower()}, one.ever) for why, one in refusals.look(time()).items()]
    yield _Figure("thali_refused_total", "Refused at the API", refused, "counter")
    made = [({}, at) for at in [runs.newest_at()] if at]
    yield _Figure("thali_backup_time_seconds", "When the last was made", made)


def _lights(findings: Sequence[Finding]) -> list[tuple[Mapping[str, str], float]]:
    worst: dict[str, int] = {}
    for one in findings:
        worst[one.concern] = max(worst.get(one.concern, 0), _VALUES[one.light])
    return [({"concern": name}, value) for name, value in worst.items()]


def _told(figure: _Figure) -> str:
    lines = [f"# HELP {figure.name} {figure.help}", f"# TYPE {figure.name} {figure.kind}"]
    lines += [f"{figure.name}{_labels(labels)} {value}" for labels, value in figure.values]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
