"""Jobs and their links in the admin: to look at.  What changes them is the page “In step”.

A password that stands in the address of a server is shown nowhere.
"""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from acl.admin import ReadOnly, when
from replication.core import job as jobs
from replication.core.schedule import NEVER
from replication.models import Job, Link


@admin.register(Job)
class JobAdmin(ReadOnly):
    """What is to be replicated with whom."""

    list_display = ["db_name", "direction", "with_whom", "mode", "priority", "paused", "mesh"]
    list_filter = ["direction", "mode", "priority", "paused", "mesh", "transient"]
    search_fields = ["db_name", "there", "docid"]
    fields = [
        "db_name", "there", "with_whom", "direction", "mode", "every", "priority", "windows",
        "bytes_per_second", "mesh", "paused", "transient", "wished_by", "docid",
    ]  # fmt: skip

    @admin.display(description=_("With"))
    def with_whom(self, job: Job) -> str:
        """Name the peer."""
        return jobs.shown(job.peer)


@admin.register(Link)
class LinkAdmin(ReadOnly):
    """How each job goes with each hub."""

    list_display = ["database", "direction", "with_whom", "state", "behind", "next_run"]
    list_filter = ["state", "direction"]
    list_select_related = ["job"]
    search_fields = ["job__db_name", "key"]
    fields = [
        "database", "with_whom", "key", "direction", "state", "path", "behind", "next_run",
        "succeeded", "failures", "last_error", "docs_read", "docs_written", "doc_write_failures",
        "bytes_moved",
    ]  # fmt: skip

    @admin.display(description=_("Database"), ordering="job__db_name")
    def database(self, link: Link) -> str:
        """Name the database."""
        return link.job.db_name

    @admin.display(description=_("With"))
    def with_whom(self, link: Link) -> str:
        """Name the peer."""
        return jobs.shown(link.name)

    @admin.display(description=_("Next run"), ordering="due_at")
    def next_run(self, link: Link) -> str:
        """Tell when it is due."""
        return when(None if link.due_at >= NEVER else link.due_at)

    @admin.display(description=_("Last success"), ordering="last_success")
    def succeeded(self, link: Link) -> str:
        """Tell when it was in step last."""
        return when(link.last_success)
