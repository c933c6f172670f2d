"""News of discovery, for the apps above; sent after the commit."""

from __future__ import annotations

from django.dispatch import Signal

principal_paired = Signal()
"""Somebody is a contact or a device from now on: `key`, `name`, `trust`, `purpose`."""

device_revoked = Signal()
"""A device of the owner has lost its rights: `key`, `name`."""

identity_adopted = Signal()
"""This hub is a device of another identity from now on: `key`."""
