"""What is to be replicated, and how that goes: all work is rows, queues only carry wake-ups.

Times are Unix seconds; `NEVER` (core/schedule.py) is later than all of them.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from replication.core import schedule
from replication.core.job import Direction, Mode, Priority, State, shown
from replication.core.policy import Network, Power, Runs


def _choices(words: Any) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class Job(models.Model):
    """A standing wish to replicate a database with a peer."""

    db_name = models.CharField(max_length=238)
    peer = models.TextField(help_text="A principal, a group, a URL, or “my devices”.")
    there = models.CharField(max_length=238, help_text="The database's name at the peer.")
    direction = models.CharField(max_length=8, choices=_choices(Direction))
    mode = models.CharField(max_length=16, choices=_choices(Mode))
    every = models.PositiveIntegerField(default=0, help_text="Seconds, of a periodic job.")
    priority = models.CharField(max_length=16, choices=_choices(Priority))
    options = models.TextField(default="{}", help_text="JSON: filter, doc_ids, selector, …")
    mesh = models.BooleanField(default=False, help_text="Made by the hub, for its own devices.")
    wished_by = models.CharField(
        max_length=43, blank=True, help_text="Key of the application that wants it; else empty."
    )
    rep_id = models.CharField(max_length=64, blank=True, help_text="What CouchDB calls its id.")
    docid = models.TextField(blank=True, help_text="Its document in _replicator.")
    transient = models.BooleanField(default=False, help_text="Asked for by _replicate.")
    paused = models.BooleanField(default=False)
    created_at = models.FloatField()
    lasts = models.PositiveIntegerField(default=0, help_text="Seconds until it is to be renewed.")
    ends_at = models.FloatField(default=schedule.NEVER)
    windows = models.TextField(blank=True, help_text="When it runs, UTC; empty: always.")
    bytes_per_second = models.BigIntegerField(default=0, help_text="Its limit; 0: none.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["db_name"], condition=models.Q(mesh=True), name="one_mesh_job"
            )
        ]

    def __str__(self) -> str:
        return f"{self.db_name} {self.direction} {shown(self.peer)}"


class Link(models.Model):
    """A job with one hub or server, in one direction: what a worker takes and runs."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="links")
    key = models.CharField(max_length=43, blank=True, help_text="The hub's; empty for a server.")
    name = models.TextField(help_text="What its owner calls the peer.")
    direction = models.CharField(max_length=8, choices=_choices(Direction))
    state = models.CharField(max_length=16, choices=_choices(State))
    due_at = models.FloatField(db_index=True)
    again = models.BooleanField(default=False, help_text="Something changed while it ran.")
    failures = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.FloatField(default=0)
    started_at = models.FloatField(null=True)
    last_success = models.FloatField(null=True)
    last_error = models.TextField(blank=True)
    result = models.TextField(blank=True, help_text="JSON: what _replicate answers.")
    behind = models.BigIntegerField(null=True, help_text="Changes that are still to come.")
    path = models.CharField(max_length=16, blank=True, help_text="The kind of address.")
    docs_read = models.BigIntegerField(default=0)
    docs_written = models.BigIntegerField(default=0)
    doc_write_failures = models.BigIntegerField(default=0)
    forced = models.BooleanField(default=False, help_text="Somebody has said: run now.")
    opens_at = models.FloatField(default=0, help_text="It does not run before,")
    closes_at = models.FloatField(default=schedule.NEVER, help_text="nor from then on.")
    bytes_moved = models.BigIntegerField(default=0)
    documents_rate = models.FloatField(default=0, help_text="Documents a second, last seen.")
    bytes_rate = models.FloatField(default=0, help_text="Bytes a second, last seen.")
    at_first = models.BigIntegerField(null=True, help_text="Changes behind when the run began.")
    attachments_left = models.BigIntegerField(
        default=0, help_text="Documents that wait for their attachments."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "key", "direction"], name="link_of_job_and_peer")
        ]
        indexes = [models.Index(fields=["key", "direction"], name="link_by_peer")]

    def __str__(self) -> str:
        return f"{shown(self.name)} {self.direction}: {self.state}"


class Policy(models.Model):
    """One row: what the owner says of battery, connection and limits, and what the system tells."""

    network = models.CharField(max_length=8, choices=_choices(Network), default=Network.AUTO.value)
    power = models.CharField(max_length=8, choices=_choices(Power), default=Power.AUTO.value)
    on_metered = models.CharField(max_length=8, choices=_choices(Runs), default=Runs.NORMAL.value)
    on_battery = models.CharField(max_length=8, choices=_choices(Runs), default=Runs.NORMAL.value)
    on_low = models.CharField(max_length=8, choices=_choices(Runs), default=Runs.NOW.value)
    bytes_per_second = models.BigIntegerField(
        default=0, help_text="All runs together; 0: no limit."
    )
    is_metered = models.BooleanField(null=True, help_text="What the system tells.")
    is_on_battery = models.BooleanField(null=True, help_text="What the system tells.")
    charge = models.IntegerField(null=True, help_text="Percent.")

    def __str__(self) -> str:
        return f"network {self.network}, power {self.power}"


class Route(models.Model):
    """An address of a hub, and how it went there."""

    key = models.CharField(max_length=43)
    address = models.CharField(max_length=200)
    last_success = models.FloatField(null=True)
    last_failure = models.FloatField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "address"], name="route_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.address}"
