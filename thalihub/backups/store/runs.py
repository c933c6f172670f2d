"""The plan by which the hub makes backups, and those that it has made.

Times are Unix seconds.  A run that has not been heard of for two minutes has died with its worker.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from thalihub.models import BackupPlan, BackupRun

State = BackupRun.State
NOW = -1
"""In place of the time when something is due."""

_ONLY = 1
_SILENT_SECONDS = 120
_MOST_TESTS = 50


def plan() -> BackupPlan:
    """Return the plan, made if there is none."""
    row, _made = BackupPlan.objects.get_or_create(
        pk=_ONLY, defaults={"lineage": secrets.token_hex(8)}
    )
    return row


def change_plan(**values: Any) -> None:
    """Set members of the plan."""
    plan()
    BackupPlan.objects.update(**values)


def lineage() -> str:
    """Return the name of these tables as they go on from backup to backup."""
    return plan().lineage


def begin_lineage() -> None:
    """Continue from no backup that was made before."""
    change_plan(lineage=secrets.token_hex(8), next_at=0, next_test_at=0)


def begin(file: str, now: int, *, is_whole: bool = True, is_test: bool = False) -> int | None:
    """Return the number of a new run; None while another one is at work."""
    with transaction.atomic():
        plan()
        BackupPlan.objects.select_for_update().get(pk=_ONLY)
        end_silent(now)
        if BackupRun.objects.filter(state=State.RUNNING).exists():
            return None
        made = BackupRun.objects.create(
            file=file, is_whole=is_whole, is_test=is_test, started_at=now, seen_at=now
        )
        return int(made.pk)


def end_silent(now: int) -> None:
    """Note the runs as failed whose worker is gone."""
    silent = BackupRun.objects.filter(state=State.RUNNING, seen_at__lt=now - _SILENT_SECONDS)
    silent.update(state=State.FAILED, ended_at=now, problem="The process that made it has ended.")


def note(number: int, done: int, total: int, now: int) -> bool:
    """Note how far a run is; tell whether it is still wanted."""
    BackupRun.objects.filter(pk=number).update(done=done, total=total, seen_at=now)
    return BackupRun.objects.filter(pk=number, is_wanted=True).exists()


def end(number: int, state: State, now: int, **values: Any) -> None:
    """Note how a run ended."""
    BackupRun.objects.filter(pk=number).update(state=state, ended_at=now, **values)


def cancel(number: int) -> None:
    """Ask a run to end."""
    BackupRun.objects.filter(pk=number, state=State.RUNNING).update(is_wanted=False)


def recent(limit: int) -> Sequence[BackupRun]:
    """Return the newest runs first."""
    return list(BackupRun.objects.order_by("-pk")[:limit])


def last(*, is_test: bool) -> BackupRun | None:
    """Return the newest run that has ended by itself."""
    ended = BackupRun.objects.filter(is_test=is_test, state__in=(State.DONE, State.FAILED))
    return ended.order_by("-pk").first()


def chains() -> list[list[BackupRun]]:
    """Return the backups, each whole one with those that continue it, newest chain first."""
    found: list[list[BackupRun]] = []
    for run in BackupRun.objects.filter(is_test=False, state=State.DONE).order_by("pk"):
        if run.is_whole:
            found.insert(0, [run])
        elif found:
            found[0].append(run)
    return found


def made(number: int) -> BackupRun | None:
    """Return the backup of this number, if it was finished."""
    return BackupRun.objects.filter(pk=number, is_test=False, state=State.DONE).first()


def newest_at() -> int:
    """Return when the newest backup was made, by the plan or by hand; 0 if there is none."""
    made = [chain[-1].started_at for chain in chains()[:1]]
    return max(*made, plan().by_hand_at, 0)


def files_of_failures() -> set[str]:
    """Return the names of files that runs were to make which have not, or not noted it."""
    backups = BackupRun.objects.filter(is_test=False)
    ended = backups.filter(state__in=(State.FAILED, State.CANCELLED))
    others = backups.exclude(state__in=(State.FAILED, State.CANCELLED))
    return set(ended.values_list("file", flat=True)) - set(others.values_list("file", flat=True))


def forget(runs: Sequence[BackupRun]) -> None:
    """Remove the rows of backups whose files are gone, and those of old tests and failures."""
    BackupRun.objects.filter(pk__in=[run.pk for run in runs]).delete()
    others = BackupRun.objects.exclude(is_test=False, state=State.DONE).order_by("-pk")
    kept = list(others.values_list("pk", flat=True)[:_MOST_TESTS])
    others.exclude(pk__in=kept).exclude(state=State.RUNNING).delete()
