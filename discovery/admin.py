"""Pairings, contacts and devices in the admin: to look at.  What changes them are the pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from discovery.models import Contact, Device, Introduction, PairingRow, Sighting


class ReadOnly(admin.ModelAdmin):
    """Nothing can be added or changed here."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no."""
        return False


@admin.register(PairingRow)
class PairingAdmin(ReadOnly):
    """What was tried, and how it ended; the failed ones count for the locks."""

    list_display = ["name", "way", "purpose", "outgoing", "state", "problem", "created_at"]
    list_filter = ["way", "state", "purpose"]
    search_fields = ["name", "key"]
    fields = [
        "name", "key_text", "way", "purpose", "outgoing", "state", "problem", "code", "addresses",
        "by", "created_at", "deadline", "ended_at",
    ]  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep them: they are forgotten after 30 days."""
        return False


@admin.register(Contact)
class ContactAdmin(ReadOnly):
    """Friends, and how their keys became known."""

    list_display = ["principal", "trust", "way", "introduced_by", "last_seen", "other_key"]
    list_filter = ["trust", "way"]
    list_select_related = ["principal"]
    search_fields = ["principal__name", "principal__key"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a friend be deleted whole, on the page of principals."""
        return False


@admin.register(Device)
class DeviceAdmin(ReadOnly):
    """The owner's other hubs."""

    list_display = ["principal", "paired_at", "last_seen"]
    list_select_related = ["principal"]
    search_fields = ["principal__name"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep them: a device is revoked, never forgotten."""
        return False


@admin.register(Introduction)
class IntroductionAdmin(ReadOnly):
    """What contacts say of others."""

    list_display = ["name", "by", "group", "key", "messaging"]
    list_filter = ["by", "group"]
    search_fields = ["name", "key", "by"]


@admin.register(Sighting)
class SightingAdmin(ReadOnly):
    """Hubs nearby; to delete one that is ignored lets it be shown again."""

    list_display = ["name", "key", "seen_at", "ignored"]
    list_filter = ["ignored"]
    search_fields = ["name", "key"]
