"""Pairings and what comes of them: contacts and devices.  All that lasts is a row here, so every
process of the hub sees the same, and nothing depends on a page that is open.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from acl.core import keys
from acl.models import Principal
from discovery.core import commitment
from discovery.core.invitation import DEVICE, FRIEND
from discovery.core.pairing import State, Trust, Way


def _choices(words: Any) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


_PURPOSES = [(FRIEND, FRIEND), (DEVICE, DEVICE)]


class Me(models.Model):
    """One row: what this hub says of itself."""

    name = models.CharField(max_length=64, blank=True, help_text="The person's name.")
    hub = models.CharField(max_length=64, blank=True, help_text="This hub's name.")
    beacon = models.JSONField(default=dict, blank=True, help_text="Its notification key.")
    addresses = models.JSONField(default=list)
    windows = models.TextField(
        blank=True, help_text="When this hub can be reached, UTC; empty: always."
    )
    card = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name


class OfferRow(models.Model):
    """A code or invitation that somebody may answer once."""

    way = models.CharField(max_length=16, choices=_choices(Way))
    purpose = models.CharField(max_length=8, choices=_PURPOSES, default=FRIEND)
    secret = models.BinaryField(max_length=16)
    expires_at = models.DateTimeField()
    used = models.BooleanField(default=False)
    bad_proofs = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.way} until {self.expires_at}"


class PairingRow(models.Model):
    """One pairing on this side.  `key` is the other's identity, `their_key` its TLS leaf key."""

    way = models.CharField(max_length=16, choices=_choices(Way))
    purpose = models.CharField(max_length=8, choices=_PURPOSES, default=FRIEND)
    outgoing = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=_choices(State), db_index=True)
    problem = models.CharField(max_length=32, blank=True)
    name = models.CharField(max_length=64, blank=True, help_text="What they call themselves.")
    key = models.CharField(max_length=43)
    our_key = models.CharField(max_length=43)
    their_key = models.CharField(max_length=43)
    sid = models.CharField(max_length=22, unique=True)
    commit = models.BinaryField(default=b"")
    our_nonce = models.BinaryField(default=b"")
    their_nonce = models.BinaryField(default=b"")
    start = models.BinaryField(default=b"")
    answer = models.BinaryField(default=b"")
    transcript = models.BinaryField(default=b"")
    addresses = models.JSONField(default=list)
    card = models.JSONField(default=dict)
    device_keys = models.JSONField(default=list)
    certificates = models.JSONField(default=list)
    told = models.BooleanField(default=False, help_text="The other side has heard our yes.")
    offer = models.ForeignKey(OfferRow, models.SET_NULL, null=True, blank=True)
    by = models.CharField(max_length=64, blank=True, help_text="Who has introduced them.")
    created_at = models.DateTimeField()
    deadline = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    look_at = models.DateTimeField(null=True, blank=True, help_text="When to ask them again.")

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = "pairing"

    def __str__(self) -> str:
        return f"{self.name or keys.short_key(self.key)}: {self.state}"

    @property
    def code(self) -> str:
        """The six digits, in two groups; empty before both hubs know them."""
        return commitment.code(bytes(self.transcript)) if self.transcript else ""

    @property
    def key_text(self) -> str:
        """The other identity's key as people compare it."""
        return keys.key_text(self.key)


class Arming(models.Model):
    """One row: until when this hub takes, or gives, one commitment."""

    until = models.DateTimeField()
    used = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"until {self.until}"


class Contact(models.Model):
    """A friend: what the ACL does not need to know of them."""

    principal = models.OneToOneField(Principal, models.CASCADE, related_name="contact")
    trust = models.CharField(max_length=16, choices=_choices(Trust))
    way = models.CharField(max_length=16, choices=_choices(Way))
    introduced_by = models.CharField(max_length=64, blank=True)
    card = models.JSONField(default=dict)
    addresses = models.JSONField(default=list)
    paired_at = models.DateTimeField()
    last_seen = models.DateTimeField(null=True, blank=True)
    clock_ahead = models.IntegerField(default=0, help_text="Seconds, when last reached.")
    told = models.CharField(max_length=64, blank=True, help_text="Which card of ours they have.")
    told_at = models.DateTimeField(null=True, blank=True, help_text="When we last tried.")
    other_key = models.CharField(
        max_length=43, blank=True, help_text="Another key was shown for them: ask them about it."
    )
    other_key_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.principal.name

    @property
    def name(self) -> str:
        """The owner's name for them."""
        return self.principal.name

    @property
    def key(self) -> str:
        """Their identity."""
        return self.principal.key


class Device(models.Model):
    """Another hub of the owner: the key of the hub, and that of its owner's certificate."""

    principal = models.OneToOneField(Principal, models.CASCADE, related_name="device")
    client = models.OneToOneField(
        Principal, models.SET_NULL, null=True, blank=True, related_name="client_of"
    )
    tor_key = models.CharField(max_length=52, blank=True, help_text="Lets it in through Tor.")
    addresses = models.JSONField(default=list)
    beacon = models.JSONField(default=dict, blank=True, help_text="Its notification key.")
    windows = models.TextField(blank=True, help_text="When it can be reached; empty: always.")
    paired_at = models.DateTimeField()
    last_seen = models.DateTimeField(null=True, blank=True)
    clock_ahead = models.IntegerField(default=0, help_text="Seconds, when last reached.")

    def __str__(self) -> str:
        return self.principal.name


class Introduction(models.Model):
    """A card that somebody has published in a group: what they know somebody by."""

    by = models.CharField(max_length=64)
    group = models.CharField(max_length=64)
    name = models.CharField(max_length=64)
    key = models.CharField(max_length=43)
    messaging = models.CharField(max_length=255, blank=True)
    card = models.JSONField(default=dict)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["by", "group", "key"], name="introduced_once")
        ]

    def __str__(self) -> str:
        return f"{self.name}, by {self.by}"


class Sighting(models.Model):
    """A hub that was seen nearby.

    One that only waits for another has shown no key yet: then `key` is a handle.
    """

    key = models.CharField(max_length=43, unique=True)
    nameless = models.BooleanField(default=False)
    name = models.CharField(max_length=64, blank=True)
    addresses = models.JSONField(default=list)
    seen_at = models.DateTimeField()
    ignored = models.BooleanField(default=False)
    dismissed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name or keys.short_key(self.key)


class TorState(models.Model):
    """One row: what the owner wants of Tor, and how it is."""

    wanted = models.BooleanField(default=False)
    contacts_only = models.BooleanField(default=False)
    everything = models.BooleanField(default=False, help_text="Every connection goes through Tor.")
    for_applications = models.BooleanField(default=False)
    address = models.CharField(max_length=62, blank=True)
    client_key = models.CharField(max_length=52, blank=True)
    state = models.CharField(max_length=16, default="off")
    percent = models.PositiveSmallIntegerField(default=0)
    said = models.CharField(max_length=200, blank=True, help_text="By tor, in its own words.")
    since = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    tested_at = models.DateTimeField(null=True)
    answered_ms = models.PositiveIntegerField(null=True)
    problem = models.CharField(max_length=200, blank=True, help_text="Of the last self-test.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Self-tests, in a row.")
    again = models.BooleanField(default=False, help_text="It is to be published again.")
    stale = models.BooleanField(default=False, help_text="What tor knows of others is old.")
    socks = models.CharField(max_length=200, blank=True)
    socks_for_applications = models.CharField(max_length=64, blank=True)
    version = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.state


class TorEvent(models.Model):
    """Something that has happened to Tor; `what` is a word that the pages know."""

    at = models.DateTimeField()
    what = models.CharField(max_length=32)
    more = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.what} {self.more}".strip()


class NearbyHub(models.Model):
    """A hub of a contact, or of our own, that has proven to be near: the way to its listener."""

    device = models.CharField(max_length=43, unique=True, help_text="The hub's key.")
    key = models.CharField(max_length=43, db_index=True, help_text="Whom we know it as.")
    way = models.CharField(max_length=8)
    address = models.CharField(max_length=200)
    certificate = models.BinaryField(help_text="Of its listener: the one that is to answer.")
    expires_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{keys.short_key(self.device)} at {self.address}"


class Network(models.Model):
    """A network that this hub has been in, and whether it may be found there."""

    mark = models.CharField(max_length=200, unique=True, help_text="By what it is recognised.")
    name = models.CharField(max_length=64)
    home = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return self.name


class NearbySwitch(models.Model):
    """One row: what of finding hubs nearby is on, and what the process that does it last said."""

    bluetooth = models.BooleanField(default=False)
    duty = models.CharField(max_length=8, default="balanced", help_text="Of the radio's time.")
    said = models.JSONField(default=dict)
    said_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return "Nearby"
