"""Who is who: principals, groups and grants.

Every change of these tables raises the ACL version in the same transaction, whichever way it comes
(command, admin, a queryset's update, SQL): triggers do it (migration 0002).  So the gate in every
process sees it on the next request.
"""

from __future__ import annotations

from django.db import models

from acl.core import keys

_ONE_OF_TWO = "Choose a principal or a group, one of them."


class Principal(models.Model):
    """Whoever holds a key: a person, a device, an application."""

    class Kind(models.TextChoices):
        """What the principal is to the owner of the hub."""

        OWNER = "owner", "You"
        DEVICE = "device", "Your device"
        FRIEND = "friend", "Friend"
        APPLICATION = "application", "Application"
        SERVICE = "service", "Service"

    name = models.CharField(max_length=64, unique=True, help_text="Your name for it.")
    key = models.CharField(
        max_length=43, unique=True, help_text="SHA-256 of its public key, in base64url."
    )
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.FRIEND)
    may_create_databases = models.BooleanField(
        default=False, help_text="Applications that keep their data here need this."
    )
    revoked = models.BooleanField(
        default=False, help_text="A lost device, say. It has no rights any more."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def key_text(self) -> str:
        """The key as people compare it."""
        return keys.key_text(self.key)

    @property
    def short_key(self) -> str:
        """The beginning of the key text, to tell keys apart at a glance."""
        return keys.short_key(self.key)


class Group(models.Model):
    """Principals, and other groups, under one name."""

    name = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One member of a group: a principal or a group."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="memberships")
    principal = models.ForeignKey(Principal, models.CASCADE, null=True, blank=True)
    subgroup = models.ForeignKey(
        Group, models.CASCADE, null=True, blank=True, related_name="memberships_of"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(principal__isnull=False) ^ models.Q(subgroup__isnull=False),
                name="membership_of_one",
                violation_error_message=_ONE_OF_TWO,
            ),
            models.UniqueConstraint(fields=["group", "principal"], name="principal_once"),
            models.UniqueConstraint(fields=["group", "subgroup"], name="subgroup_once"),
        ]

    def __str__(self) -> str:
        return f"{self.principal or self.subgroup} in {self.group}"


class Grant(models.Model):
    """One line of a database's ACL."""

    database = models.CharField(max_length=238, db_index=True)
    principal = models.ForeignKey(Principal, models.CASCADE, null=True, blank=True)
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True)
    read = models.BooleanField(default=False)
    write = models.BooleanField(default=False, help_text="Writing does not include reading.")
    admin = models.BooleanField(
        default=False, help_text="Delete the database, and share it with others."
    )
    view = models.CharField(
        max_length=512,
        blank=True,
        help_text="ddoc/view: this one view may be read, and nothing else.",
    )
    selector = models.TextField(
        blank=True, help_text="A Mango selector: only documents that match can be seen."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(principal__isnull=False) ^ models.Q(group__isnull=False),
                name="grant_to_one",
                violation_error_message=_ONE_OF_TWO,
            )
        ]
        ordering = ["database"]

    def __str__(self) -> str:
        return f"{self.principal or self.group} on {self.database}"


class AllowedOrigin(models.Model):
    """A page of this origin may use the hub with the principal's certificate."""

    origin = models.CharField(max_length=255, help_text="Such as https://app.example")
    principal = models.ForeignKey(
        Principal, models.CASCADE, null=True, blank=True, help_text="Empty: for everybody."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["origin", "principal"], name="origin_once")]

    def __str__(self) -> str:
        return self.origin


class ApplicationToken(models.Model):
    """What lets a local application in that cannot show a certificate: of the token, the hash."""

    principal = models.OneToOneField(
        Principal, models.CASCADE, primary_key=True, related_name="token"
    )
    digest = models.CharField(max_length=64, unique=True)
    made_at = models.BigIntegerField(help_text="Unix seconds.")
    expires_at = models.BigIntegerField(null=True, help_text="Unix seconds; empty for never.")

    def __str__(self) -> str:
        return f"of {self.principal}"


class ApplicationUse(models.Model):
    """When an application last asked for something, to the minute; no part of the ACLs."""

    principal = models.OneToOneField(
        Principal, models.CASCADE, primary_key=True, related_name="use"
    )
    used_at = models.BigIntegerField(help_text="Unix seconds.")

    def __str__(self) -> str:
        return f"of {self.principal}"


class AclVersion(models.Model):
    """One row: a number that changes with each change of the ACLs; triggers write it."""

    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
