"""The form by which the owner connects an application, and what a link may ask for.

Whoever writes the link decides nothing: it only fills in the form.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from acl.core import bundles
from acl.core.errors import BadName
from acl.store import Rights
from thalihub import applications
from thalihub.applications import MOST_DATABASES, Wanted

TOKEN, KEY, REQUEST = "token", "key", "request"
_LONGEST_ASKED = 4096
_EMPTY_ROWS = 1


class LifetimeForm(forms.Form):
    """How long a token is good for."""

    days = forms.ChoiceField(
        label=_("The token ends"),
        choices=[
            ("", _("never, until you revoke it")),
            ("1", _("after a day")),
            ("30", _("after 30 days")),
            ("365", _("after a year")),
        ],
        required=False,
    )

    def days_wanted(self) -> int | None:
        """Return the days, None for no end."""
        chosen = self.cleaned_data["days"]
        return int(chosen) if chosen else None


class ConnectForm(LifetimeForm):
    """Who the application is, and how it proves that."""

    field_order = ["name", "origins", "may_create", "way", "days", "request", "request_file"]

    name = forms.CharField(
        label=_("Name of the application"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    origins = forms.CharField(
        label=_("Web pages that may act for it"),
        required=False,
        max_length=_LONGEST_ASKED,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("One address a line, such as https://app.example. Empty for a program."),
    )
    may_create = forms.BooleanField(label=_("It may make databases of its own"), required=False)
    way = forms.ChoiceField(
        label=_("How it proves who it is"),
        choices=[
            (TOKEN, _("A token, which works like a password: for web pages and phones")),
            (KEY, _("A key and certificate that the hub makes: safer, for programs")),
            (REQUEST, _("A key of its own: you paste its certificate request")),
        ],
        widget=forms.RadioSelect,
        initial=TOKEN,
    )
    request = forms.CharField(
        label=_("Certificate request"),
        required=False,
        max_length=bundles.LARGEST_REQUEST,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_("The text that begins with BEGIN CERTIFICATE REQUEST."),
    )
    request_file = forms.FileField(
        label=_("Or its file"), required=False, max_length=255, allow_empty_file=False
    )

    def clean(self) -> dict[str, Any]:
        """Ask for the request where the application has a key of its own."""
        data = super().clean() or {}
        if data.get("way") == REQUEST and not (data.get("request") or data.get("request_file")):
            self.add_error("request", _("Paste the request, or choose its file."))
        return data

    def request_text(self) -> bytes:
        """Return the certificate request, from the file if there is one."""
        file = self.cleaned_data["request_file"]
        if file is not None:
            return bytes(file.read(bundles.LARGEST_REQUEST + 1))
        return str(self.cleaned_data["request"]).encode()

    def wanted(self, rights: list[Rights]) -> Wanted:
        """Return what the owner has decided."""
        data = self.cleaned_data
        origins = tuple(dict.fromkeys(data["origins"].split()))
        return Wanted(data["name"].strip(), rights, origins, data["may_create"])


class DatabaseForm(forms.Form):
    """One database, and what the application may do with it."""

    db_name = forms.CharField(
        label=_("Database"),
        required=False,
        max_length=238,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    read = forms.BooleanField(label=_("may read"), required=False)
    write = forms.BooleanField(label=_("may write"), required=False)
    admin = forms.BooleanField(label=_("may delete and share it"), required=False)

    def clean(self) -> dict[str, Any]:
        """Refuse a database without any right: the row would mean nothing."""
        data = super().clean() or {}
        held = data.get("read") or data.get("write") or data.get("admin")
        if data.get("db_name") and not held:
            raise forms.ValidationError(_("Choose a right, or empty the name."))
        return data


class _Rows(forms.BaseFormSet):
    def rights(self) -> list[Rights]:
        """Return the rows that name a database."""
        rows = [form.cleaned_data for form in self.forms]
        return [
            Rights(row["db_name"], row["read"], row["write"], row["admin"])
            for row in rows
            if row.get("db_name")
        ]


DatabaseRows = forms.formset_factory(
    DatabaseForm,
    formset=_Rows,
    extra=_EMPTY_ROWS,
    max_num=MOST_DATABASES,
    absolute_max=MOST_DATABASES,
    validate_max=True,
)


def asked(query: QueryDict) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what the form, and its rows of databases, begin with."""
    origins = _listed(query, "origin")
    first = {
        "name": query.get("name", "")[:64],
        "origins": "\n".join(origins),
        "may_create": query.get("create") == "true",
        "way": query.get("way") if query.get("way") in (TOKEN, KEY, REQUEST) else TOKEN,
    }
    return first, [_row(one) for one in _listed(query, "databases")]


def _listed(query: QueryDict, name: str) -> list[str]:
    """Return a list that is separated by commas or spaces, or given by repeating the name."""
    text = ",".join(query.getlist(name))[:_LONGEST_ASKED]
    return list(dict.fromkeys(text.replace(",", " ").split()))[:MOST_DATABASES]


def _row(text: str) -> dict[str, Any]:
    try:
        return applications.parse_rights(text)._asdict()
    except BadName:  # Shown as it came; it cannot be sent so.
        return {"db_name": text}
