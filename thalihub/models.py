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
