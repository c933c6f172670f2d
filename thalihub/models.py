"""What a hub knows of itself, and the one link by which it gets its owner."""

from __future__ import annotations

from django.db import models


class Hub(models.Model):
    """One row: this hub.  Once it is claimed, it stays so."""

    name = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True)
    recovery_saved_at = models.DateTimeField(null=True)
    size_warning = models.BigIntegerField(default=0, help_text="Bytes; 0 for none.")

    def __str__(self) -> str:
        return self.name or "Thali Device Hub"


class SetupLink(models.Model):
    """The only link that can make an owner: of its token, the hash."""

    digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"until {self.expires_at}"


class BackupPlan(models.Model):
    """One row: when the hub makes backups, and to whose passphrase they are sealed."""

    lock = models.TextField(blank=True, help_text="Opens by the passphrase only; empty: not set.")
    lineage = models.CharField(max_length=32, help_text="Of these tables, until a restore.")
    every = models.PositiveIntegerField(default=0, help_text="Seconds; 0: never.")
    whole_each = models.PositiveIntegerField(
        default=7, help_text="One in so many is whole, the others continue it."
    )
    keep = models.PositiveIntegerField(default=4, help_text="So many whole ones.")
    test_every = models.PositiveIntegerField(default=7 * 86400, help_text="Seconds; 0: never.")
    next_at = models.BigIntegerField(default=0, help_text="Unix seconds.")
    next_test_at = models.BigIntegerField(default=0, help_text="Unix seconds.")
    by_hand_at = models.BigIntegerField(default=0, help_text="When the command last made one.")
    tried_by_hand_at = models.BigIntegerField(default=0, help_text="When it last tried one.")

    def __str__(self) -> str:
        return f"every {self.every} s"


class BackupRun(models.Model):
    """A backup that was made or is being made, or a test of one."""

    class State(models.TextChoices):
        """How it is."""

        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    file = models.TextField(help_text="Its name in the folder of backups.")
    is_test = models.BooleanField(default=False, help_text="A restore of it was tried.")
    is_whole = models.BooleanField(default=True)
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    started_at = models.BigIntegerField(help_text="Unix seconds.")
    seen_at = models.BigIntegerField(help_text="When it was last heard of, in Unix seconds.")
    ended_at = models.BigIntegerField(null=True, help_text="Unix seconds.")
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    documents = models.BigIntegerField(default=0)
    problem = models.TextField(blank=True, help_text="Why it failed.")
    head = models.TextField(blank=True, help_text="JSON: where the next one continues.")
    is_wanted = models.BooleanField(default=True, help_text="No: it is to end.")

    def __str__(self) -> str:
        return f"{self.file}: {self.state}"


class Heartbeat(models.Model):
    """One row: when the schedule last began something."""

    seen_at = models.BigIntegerField(help_text="Unix seconds.")

    def __str__(self) -> str:
        return str(self.seen_at)
