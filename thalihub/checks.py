"""Django's system checks of what the hub needs from its surroundings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def data_folder_is_ours(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The data folder can be written and nobody else can read it."""
    folder = settings.HUB_DATA
    if not os.access(folder, os.W_OK | os.X_OK):
        return [
            Error(
                f"The data folder {folder} cannot be written.",
                hint="Set HUB_DATA to a folder of yours.",
                id="thalihub.E001",
            )
        ]
    if folder.stat().st_mode & 0o007:
        return [
            Error(
                f"Everybody can look into the data folder {folder}, where private keys are.",
                hint=f"chmod 700 {folder}",
                id="thalihub.E002",
            )
        ]
    return []


@register
def database_is_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """DATABASE_URL names SQLite or PostgreSQL."""
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine.rpartition(".")[2] in {"sqlite3", "postgresql"}:
        return []
    return [
        Error(
            f"The hub cannot keep its data in {engine}.",
            hint="Set DATABASE_URL to a sqlite:/// or postgresql:// URL, or leave it out.",
            id="thalihub.E003",
        )
    ]


@register
def processes_is_positive(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """HUB_PROCESSES is 1 or more."""
    if settings.HUB_PROCESSES >= 1:
        return []
    return [Error("HUB_PROCESSES must be 1 or more.", id="thalihub.E004")]
