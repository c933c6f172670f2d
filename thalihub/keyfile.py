"""Django's secret key: made once, kept in the data folder, readable by the owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def secret_key(path: Path) -> str:
    """Return the key in `path`, making it on the first call of any process."""
    if not path.exists():  # A full disk must stop neither the hub nor what makes room on it.
        with contextlib.suppress(FileExistsError):
            _create(path)
    return path.read_text()


def _create(path: Path) -> None:
    # Written aside and linked into place: a second process sees all of it or nothing.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
