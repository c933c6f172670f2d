"""The data set of the tests and the bench: Debian's package list as documents, one a line.

`python -m bench.packages` makes `clients/data/packages.ndjson.gz` anew from the lists of this
machine.  People's names and addresses, and addresses of servers, are left out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "clients" / "data" / "packages.ndjson.gz"
COUNT = 6000
_TEXTS = ("Version", "Architecture", "Section", "Priority", "Source", "Description")
_NUMBERS = ("Installed-Size", "Size")
_LISTS = ("Depends", "Pre-Depends", "Recommends", "Suggests", "Conflicts", "Provides", "Tag")


def load(limit: int | None = None) -> list[dict[str, Any]]:
    """Return the shipped documents, in the order of their ids."""
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(limit or COUNT), strict=False)]


def main() -> None:
    """Write the file."""
    listed = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True, text=True)
    documents = {document["_id"]: document for document in _documents(listed.stdout)}
    # A stable choice that no alphabet or section dominates.
    chosen = sorted(sorted(documents, key=_digest)[:COUNT])
    lines = "".join(json.dumps(documents[name], ensure_ascii=False) + "\n" for name in chosen)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(gzip.compress(lines.encode(), mtime=0))
    print(f"{FILE.name}: {len(chosen)} documents, {FILE.stat().st_size // 1024} KiB")


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _documents(text: str) -> Iterator[dict[str, Any]]:
    for paragraph in text.split("\n\n"):
        fields = _fields(paragraph)
        if "Package" in fields and "@" not in fields.get("Description", "@"):
            yield _document(fields)


def _fields(paragraph: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line.startswith(" "):
            fields[name] += line
        else:
            name, _, value = line.partition(": ")
            fields[name] = value
    return fields


def _document(fields: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {"_id": fields["Package"], "type": "package"}
    for name in _TEXTS:
        if name in fields:
            document[_member(name)] = fields[name]
    for name in _NUMBERS:
        if name in fields:
            document[_member(name)] = int(fields[name])
    for name in _LISTS:
        if name in fields:
            document[_member(name)] = [part.strip() for part in fields[name].split(",")]
    return document


def _member(field: str) -> str:
    return field.lower().replace("-", "_")


if __name__ == "__main__":
    main()
