"""The forms of the set-up pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from acl.core.recovery import SHORTEST_PASSPHRASE
from thalihub.restoring import LARGEST

_TWO = _("These are not the same. Type it again.")


def _secret(label: Any, purpose: str, **more: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": purpose})
    return forms.CharField(label=label, widget=widget, strip=False, max_length=1024, **more)


class ClaimForm(forms.Form):
    """The names of hub and person, and the owner's login."""

    hub_name = forms.CharField(
        label=_("Name of this hub"), max_length=64, help_text=_("Such as “Living room”.")
    )
    person = forms.CharField(
        label=_("Your name"),
        max_length=64,
        help_text=_("As the people you meet know you."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    username = forms.CharField(
        label=_("Login name"),
        max_length=150,
        validators=User.username_validator and [User.username_validator],
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    password = _secret(_("Password"), "new-password", help_text=_("8 characters or more."))
    again = _secret(_("The same password again"), "new-password")

    def clean(self) -> dict[str, Any]:
        """Check the password, and that it was typed twice."""
        data = super().clean() or {}
        if "password" in data:
            self._check_password(data)
        if "password" in data and "again" in data and data["password"] != data["again"]:
            self.add_error("again", _TWO)
        return data

    def _check_password(self, data: dict[str, Any]) -> None:
        try:
            validate_password(data["password"])
        except ValidationError as error:
            self.add_error("password", error)


class RecoveryForm(forms.Form):
    """The passphrase of the recovery file, and the login's password once more."""

    passphrase = _secret(
        _("Passphrase for the file"),
        "off",
        min_length=SHORTEST_PASSPHRASE,
        help_text=_("12 characters or more: four or five words that you can remember."),
    )
    again = _secret(_("The same passphrase again"), "off")
    password = _secret(
        _("Your login password"), "current-password", help_text=_("So that it is really you.")
    )

    def clean(self) -> dict[str, Any]:
        """Check that the passphrase was typed twice."""
        data = super().clean() or {}
        if "passphrase" in data and "again" in data and data["passphrase"] != data["again"]:
            self.add_error("again", _TWO)
        return data


class RestoreForm(forms.Form):
    """The recovery file of an earlier hub, and its passphrase."""

    file = forms.FileField(label=_("Recovery file"))
    secret = _secret(_("Its passphrase"), "off")

    def clean_file(self) -> bytes:
        """Return what the file holds."""
        file = self.cleaned_data["file"]
        if file.size > LARGEST:
            raise ValidationError(_("This is no recovery file: it is too large."))
        content: bytes = file.read()
        return content


class StorageForm(forms.Form):
    """How much room the data may take before the hub says so."""

    gigabytes = forms.IntegerField(
        label=_("Tell me when my data takes more than (GB)"),
        min_value=0,
        max_value=1_000_000,
        help_text=_("0 for never. Nothing is deleted or refused: the first page shows a warning."),
    )
