"""Pairings, contacts and devices in the admin: to look at.  What changes them are the pages."""

from __future__ import annotations

from django.contrib import admin

from acl.admin import ReadOnly, Withdrawable
from discovery.models import (
    Contact,
    Device,
    Introduction,
    NearbyHub,
    Network,
    OfferRow,
    PairingRow,
    Sighting,
    TorEvent,
)


@admin.register(PairingRow)
class PairingAdmin(ReadOnly):
    """What was tried, and how it ended: the failed ones count for the locks, for 30 days."""

    list_display = ["name", "way", "purpose", "outgoing", "state", "problem", "created_at"]
    list_filter = ["way", "state", "purpose"]
    search_fields = ["name", "key"]
    fields = [
        "name", "key_text", "way", "purpose", "outgoing", "state", "problem", "code", "addresses",
        "by", "created_at", "deadline", "ended_at",
    ]  # fmt: skip


@admin.register(Contact)
class ContactAdmin(ReadOnly):
    """Friends, and how their keys became known.  One is deleted whole, as a principal."""

    list_display = ["principal", "trust", "way", "introduced_by", "last_seen", "other_key"]
    list_filter = ["trust", "way"]
    list_select_related = ["principal"]
    search_fields = ["principal__name", "principal__key"]


@admin.register(Device)
class DeviceAdmin(ReadOnly):
    """The owner's other hubs.  A device is revoked, never forgotten."""

    list_display = ["principal", "paired_at", "last_seen"]
    list_select_related = ["principal"]
    search_fields = ["principal__name"]


@admin.register(Introduction)
class IntroductionAdmin(Withdrawable):
    """What contacts say of others."""

    list_display = ["name", "by", "group", "key", "messaging"]
    list_filter = ["by", "group"]
    search_fields = ["name", "key", "by"]


@admin.register(Sighting)
class SightingAdmin(Withdrawable):
    """Hubs nearby; to delete one that is ignored lets it be shown again."""

    list_display = ["name", "key", "seen_at", "ignored"]
    list_filter = ["ignored"]
    search_fields = ["name", "key"]


@admin.register(OfferRow)
class OfferAdmin(Withdrawable):
    """Codes and invitations that somebody may answer; to delete one withdraws it."""

    list_display = ["way", "purpose", "expires_at", "used", "bad_proofs"]
    list_filter = ["way", "purpose", "used"]
    fields = ["way", "purpose", "expires_at", "used", "bad_proofs"]


@admin.register(NearbyHub)
class NearbyHubAdmin(ReadOnly):
    """Hubs of people we know that have proven to be near."""

    list_display = ["key", "device", "way", "address", "seen_at", "expires_at"]
    list_filter = ["way"]
    search_fields = ["key", "device", "address"]
    fields = ["key", "device", "way", "address", "seen_at", "expires_at"]


@admin.register(Network)
class NetworkAdmin(ReadOnly):
    """Networks that this hub has been in."""

    list_display = ["name", "home", "seen_at"]
    list_filter = ["home"]
    search_fields = ["name", "mark"]


@admin.register(TorEvent)
class TorEventAdmin(ReadOnly):
    """What has happened to Tor."""

    list_display = ["at", "what", "more"]
    list_filter = ["what"]
    search_fields = ["more"]
    ordering = ["-pk"]
