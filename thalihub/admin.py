"""Backups in the admin: to look at."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from acl.admin import ReadOnly, when
from thalihub.models import BackupRun


@admin.register(BackupRun)
class BackupRunAdmin(ReadOnly):
    """Backups, and trials of them."""

    list_display = ["file", "is_test", "is_whole", "state", "started", "size"]
    list_filter = ["state", "is_test", "is_whole"]
    search_fields = ["file", "problem"]
    ordering = ["-started_at"]
    fields = [
        "file", "is_test", "is_whole", "state", "started", "ended", "size", "documents", "problem",
    ]  # fmt: skip

    @admin.display(description=_("Begun"), ordering="started_at")
    def started(self, run: BackupRun) -> str:
        """Tell when it began."""
        return when(run.started_at)

    @admin.display(description=_("Ended"), ordering="ended_at")
    def ended(self, run: BackupRun) -> str:
        """Tell when it was over."""
        return when(run.ended_at)
