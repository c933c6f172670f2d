"""The admin's pages of people and sharing.

They refuse what the command line refuses, with the same words: the rules are the store's.  The
owner's identity cannot be deleted, and a device is revoked, never deleted: its certificate would
still be one that the owner's identity has signed.
"""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from acl import store
from acl.core.errors import HubError
from acl.core.keys import parse_any
from acl.models import AllowedOrigin, ApplicationToken, Grant, Group, Membership, Principal

_OWN = (Principal.Kind.OWNER, Principal.Kind.DEVICE)


def when(seconds: float | None) -> str:
    """Return a time in Unix seconds as people write it; an empty text for none."""
    if seconds is None:
        return ""
    at = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


class ReadOnly(admin.ModelAdmin):
    """Rows to look at: nothing can be added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no."""
        return False


class Withdrawable(ReadOnly):
    """Rows to look at, and to delete: what they allow is then over."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the owner."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


class PrincipalForm(forms.ModelForm):
    """Takes the key in either spelling."""

    key = forms.CharField(
        strip=True,
        widget=forms.TextInput(attrs={"size": 70}),
        help_text=_("What the other person reads to you: 8 groups of 7 characters, or sha256:…"),
    )

    class Meta:
        model = Principal
        fields = ["name", "key", "kind", "may_create_databases", "revoked"]

    def clean_name(self) -> str:
        """Refuse a name that is not free or would mislead."""
        name: str = self.cleaned_data["name"]
        if name != self.instance.name:
            _checked(store.check_free, name)
        return name

    def clean_kind(self) -> str:
        """Refuse a second owner: the owner is whose identity this hub has."""
        kind: str = self.cleaned_data["kind"]
        if kind == Principal.Kind.OWNER:
            raise ValidationError(
                gettext("The owner is you. Choose “Your device” for another of yours.")
            )
        return kind

    def clean_key(self) -> str:
        """Return the key hash."""
        key: str = _checked(parse_any, self.cleaned_data["key"])
        return key


class GroupForm(forms.ModelForm):
    """Keeps one namespace for people and groups."""

    class Meta:
        model = Group
        fields = ["name"]

    def clean_name(self) -> str:
        """Refuse a name that is not free or would mislead."""
        name: str = self.cleaned_data["name"]
        if name != self.instance.name:
            _checked(store.check_free, name)
        return name


class GrantForm(forms.ModelForm):
    """Refuses a grant that would not mean what it seems to."""

    class Meta:
        model = Grant
        fields = [
            "database", "principal", "group", "read", "write", "admin", "view", "selector",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check what the fields mean together."""
        data = super().clean() or {}
        rights = {name: data.get(name, False) for name in ("read", "write", "admin")}
        view, selector = data.get("view", ""), data.get("selector", "")
        _checked(store.check_grant, **rights, view=view, selector=selector)
        data["selector"] = store.check_selector(selector)
        return data


class AllowedOriginForm(forms.ModelForm):
    """Takes an origin as browsers send it."""

    class Meta:
        model = AllowedOrigin
        fields = ["origin", "principal"]

    def clean_origin(self) -> str:
        """Return the origin in small letters, without a path."""
        origin: str = _checked(store.check_origin, self.cleaned_data["origin"])
        return origin


def _checked(check: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return check(*args, **kwargs)
    except HubError as error:
        raise ValidationError(error.reason) from error


class AllowedOriginInline(admin.TabularInline):
    """The web pages that may act for the principal."""

    model = AllowedOrigin
    form = AllowedOriginForm
    fields = ["origin"]
    extra = 0


@admin.register(Principal)
class PrincipalAdmin(admin.ModelAdmin):
    """People, devices, applications."""

    form = PrincipalForm
    list_display = ["name", "kind", "short_key", "may_create_databases", "revoked"]
    list_filter = ["kind", "revoked", "may_create_databases"]
    search_fields = ["name", "key"]
    readonly_fields = ["key_text", "created_at"]
    inlines = [AllowedOriginInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Principal | None = None) -> list[str]:
        """Keep the key of somebody who is known: another key is somebody else."""
        kept = [*self.readonly_fields]
        if obj is not None:
            kept += ["key"]
            kept += ["kind"] if obj.kind in _OWN else []
            kept += ["revoked"] if obj.kind == Principal.Kind.OWNER else []
        return kept

    def has_delete_permission(self, request: HttpRequest, obj: Principal | None = None) -> bool:
        """Keep the owner and the owner's devices."""
        own = obj is not None and obj.kind in _OWN
        return not own and super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let what hangs on somebody go with them, though it cannot be deleted alone."""
        shown, counts, _missing, protected = super().get_deleted_objects(objs, request)
        return shown, counts, set(), protected

    def get_actions(self, request: HttpRequest) -> Any:
        """Leave out deleting a selection, which would not ask about each."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions


class MembershipInline(admin.TabularInline):
    """Who is in the group."""

    model = Membership
    fk_name = "group"
    fields = ["principal", "subgroup"]
    autocomplete_fields = ["principal", "subgroup"]
    extra = 1


@admin.register(Group)
class GroupAdmin(admin.ModelAdmin):
    """Groups with their members."""

    form = GroupForm
    list_display = ["name", "members"]
    search_fields = ["name"]
    inlines = [MembershipInline]

    @admin.display(description=_("Members"))
    def members(self, group: Group) -> str:
        """Name the members."""
        found = group.memberships.select_related("principal", "subgroup")
        names = sorted(str(one.principal or one.subgroup) for one in found)
        return ", ".join(names) or gettext("nobody")


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):
    """The lines of the ACLs."""

    form = GrantForm
    list_display = ["database", "holder", "read", "write", "admin", "view", "selector"]
    list_filter = ["read", "write", "admin"]
    list_select_related = ["principal", "group"]
    search_fields = ["database", "principal__name", "group__name", "view"]
    autocomplete_fields = ["principal", "group"]

    @admin.display(description=_("Who"))
    def holder(self, grant: Grant) -> str:
        """Name the principal or group."""
        return str(grant.principal or grant.group)


@admin.register(AllowedOrigin)
class AllowedOriginAdmin(admin.ModelAdmin):
    """Web pages that may use the hub."""

    form = AllowedOriginForm
    list_display = ["origin", "principal"]
    search_fields = ["origin", "principal__name"]
    autocomplete_fields = ["principal"]


@admin.register(ApplicationToken)
class ApplicationTokenAdmin(Withdrawable):
    """The tokens of local applications; to delete one ends it.  Nobody has what it is made of."""

    list_display = ["principal", "made", "ends", "used"]
    list_filter = ["principal__revoked"]
    list_select_related = ["principal", "principal__use"]
    search_fields = ["principal__name", "principal__key"]
    fields = ["principal", "made", "ends", "used"]

    @admin.display(description=_("Made"), ordering="made_at")
    def made(self, token: ApplicationToken) -> str:
        """Tell since when it holds."""
        return when(token.made_at)

    @admin.display(description=_("Ends"), ordering="expires_at")
    def ends(self, token: ApplicationToken) -> str:
        """Tell until when it holds."""
        return when(token.expires_at) or gettext("Never")

    @admin.display(description=_("Last used"), ordering="principal__use__used_at")
    def used(self, token: ApplicationToken) -> str:
        """Tell when the application was here last, with a token or a key."""
        use = getattr(token.principal, "use", None)
        return when(use and use.used_at) or gettext("Not yet")
