"""The plan by which the hub makes backups, and those that it has made."""

from __future__ import annotations

import secrets

from thalihub.models import BackupPlan

_ONLY = 1


def plan() -> BackupPlan:
    """Return the plan, made if there is none."""
    row, _made = BackupPlan.objects.get_or_create(
        pk=_ONLY, defaults={"lineage": secrets.token_hex(8)}
    )
    return row


def lineage() -> str:
    """Return the name of these tables as they go on from backup to backup."""
    return plan().lineage


def begin_lineage() -> None:
    """Continue from no backup that was made before."""
    plan()
    BackupPlan.objects.update(lineage=secrets.token_hex(8))
