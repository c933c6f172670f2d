"""The support bundle: what somebody who helps needs to know, and nothing that is yours.

about.json    versions, the kinds of database and broker, which settings are set
doctor.json   how the hub is
sizes.json    how many databases, documents and people there are, by numbers only
log.txt       the newest lines of the log
"""

from __future__ import annotations

import io
import json
import platform
import sqlite3
import zipfile
from collections.abc import Mapping
from importlib import metadata
from itertools import islice
from typing import Any

from django.conf import settings

from acl import sql
from acl import store as people
from acl.core.policy import ADDRESSBOOK
from couchapi.store import databases
from discovery import store as discovery
from replication import manager
from replication.books.names import INBOX, ME
from thalihub import doctor
from thalihub.logs import FILE, redaction
from thalihub.logs.boundedfile import newest

_LINES = 2_000
_OF_EVERY_HUB = (ADDRESSBOOK, ME, INBOX)
_PACKAGES = ("django", "channels", "daphne", "twisted", "celery", "cryptography", "psycopg")


def made(now: float) -> bytes:
    """Return the bundle, a ZIP file."""
    names = _names(now)
    parts = {
        "about.json": json.dumps(_about(), indent=1),
        "doctor.json": json.dumps(_concerns(), indent=1, ensure_ascii=False),
        "sizes.json": json.dumps(_sizes(), indent=1),
        "log.txt": _log(),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, redaction.without_names(text, names))
    return file.getvalue()


def _about() -> Mapping[str, Any]:
    return {
        "version": settings.HUB_VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "database": sql.read_sync(lambda connection: connection.vendor),
        "sqlite": sqlite3.sqlite_version,
        "has_redis": bool(settings.REDIS_URL),
        "numbers": {
            name: value
            for name, value in vars(settings._wrapped).items()
            if name.startswith("HUB_") and isinstance(value, int | float)
        },
    }


def _concerns() -> list[Mapping[str, str]]:
    return [
        {name: redaction.redacted(value) for name, value in one._asdict().items()}
        for one in doctor.examine()
    ]


def _sizes() -> list[Mapping[str, int]]:
    rows = sql.read_sync(databases.everything)
    return [
        {"documents": row.doc_count, "deleted": row.doc_del_count, "bytes": row.body_size}
        for row in rows
    ]


def _log() -> str:
    lines = islice(newest(settings.HUB_DATA / "logs" / FILE), _LINES)
    return "\n".join(reversed([_told(line) for line in lines]))


def _told(line: bytes) -> str:
    try:
        said = json.loads(line)
    except ValueError:
        return "(cut off)"
    return " ".join(redaction.redacted(str(value)) for value in said.values())


def _names(now: float) -> dict[str, str]:
    """Return what people and things are called here, with the words that stand for them."""
    found: dict[str, str] = {}
    for word, names in (
        ("(person)", [one.name for one in people.list_principals()]),
        ("(person)", [one.name for one in discovery.list_contacts()]),
        ("(peer)", [link["peer"] for job in manager.listing(now) for link in job["links"]]),
        ("(group)", [name for name, _members in people.list_groups()]),
        ("(database)", [row.name for row in sql.read_sync(databases.everything)]),
    ):
        found |= {name: word for name in names if name not in found}
    # Every hub has databases of these names; one of them, `me`, stands in a good many words.
    return {name: word for name, word in found.items() if name not in _OF_EVERY_HUB}
