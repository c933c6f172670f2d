"""The form by which the owner limits what a database or a person may put here."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from acl import sql
from acl import store as people
from acl.models import Principal
from couchapi.store import databases, shares

_MEGABYTE = 1024**2
"""As Django shows sizes."""
_MOST = 1_000_000_000
_DATABASE, _PERSON = "database", "person"


class QuotaForm(forms.Form):
    """A limit for one database or one person."""

    whose = forms.ChoiceField(label=_("Whose"))
    megabytes = forms.DecimalField(
        label=_("Megabytes"),
        min_value=Decimal("0.001"),
        max_value=_MOST,
        decimal_places=3,
        required=False,
        help_text=_("Empty: as much as there is room for."),
    )

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.fields["whose"].choices = [  # type: ignore[attr-defined]
            (_("Databases"), [(f"{_DATABASE}:{name}", name) for name in _databases()]),
            (_("People and applications"), [(f"{_PERSON}:{name}", name) for name in _people()]),
        ]

    def keep(self) -> None:
        """Set the limit."""
        kind, _colon, name = self.cleaned_data["whose"].partition(":")
        given = self.cleaned_data["megabytes"]
        quota = None if given is None else int(given * _MEGABYTE)
        limit_database(name, quota) if kind == _DATABASE else limit_person(name, quota)


def limit_database(name: str, quota: int | None) -> None:
    """Let a database hold at most so many bytes; raises DatabaseMissing."""
    sql.write_sync(partial(databases.set_quota, name=name, quota=quota))


def limit_person(name: str, quota: int | None) -> None:
    """Let a principal put at most so many bytes here; raises NoSuchHolder."""
    key = people.find_principal(name).key
    sql.write_sync(partial(shares.set_quota, key=key, quota=quota))


def _databases() -> list[str]:
    return sql.read_sync(databases.names)


def _people() -> list[str]:
    known = people.list_principals()
    others = [one for one in known if one.kind != Principal.Kind.OWNER and not one.revoked]
    return sorted(one.name for one in others)
