"""The set-up pages: first the owner, by the link; then, behind the login, what is good to have."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate, login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from acl import identity
from acl.core.errors import HubError, RefusedError
from discovery import store as discovery
from thalihub import restoring, setup, store
from thalihub.pages import page
from thalihub.pages.forms import ClaimForm, RecoveryForm, RestoreForm, StorageForm

_MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
_GIGABYTE = 1_000_000_000
Page = Callable[[HttpRequest], HttpResponse]


@never_cache
@sensitive_post_parameters()
def claim(request: HttpRequest, token: str) -> HttpResponse:
    """Let the holder of the set-up link become the owner."""
    now = timezone.now()
    form = ClaimForm(None if "restore" in request.POST else request.POST or None)
    try:
        store.check_link(token, now)
        if not form.is_valid():
            more = {"form": form, "restoring": _restored(request, now)}
            return page.shown(request, "hub/claim.html", _("Set up your hub"), **more)
        wanted = {name: form.cleaned_data[name] for name in store.Claim._fields}
        owner = store.claim(token, store.Claim(**wanted), now)
    except RefusedError as refusal:
        return page.shown(
            request, "hub/refused.html", _("Set-up link"), status=403, refusal=refusal.reason
        )
    setup.forget_link()
    discovery.set_me(name=wanted["person"], hub=wanted["hub_name"])
    login(request, owner, backend=_MODEL_BACKEND)
    return redirect("setup-recovery")


def _restored(request: HttpRequest, now: datetime.datetime) -> RestoreForm:
    """Take the identity of a recovery file, if one was sent; the form says what came of it."""
    is_sent = "restore" in request.POST
    form = RestoreForm(request.POST if is_sent else None, request.FILES if is_sent else None)
    if is_sent and form.is_valid():
        try:
            restoring.restore(form.cleaned_data["file"], form.cleaned_data["secret"], now)
        except HubError as error:
            form.add_error(None, page.words(error))
        else:
            messages.success(request, _("Your identity is back. Your friends know you again."))
            form = RestoreForm()
    return form


def _of_owner(page: Page) -> Page:
    return admin.site.admin_view(page)


@_of_owner
@sensitive_post_parameters()
def recovery(request: HttpRequest) -> HttpResponse:
    """Give the recovery file of the identity key to the owner, who knows the password."""
    form = RecoveryForm(request.POST or None)
    if form.is_valid() and _is_owner(request, form):
        try:
            return _recovery_file(form.cleaned_data["passphrase"])
        except HubError as error:
            form.add_error(None, error.reason)
    return page.shown(request, "hub/recovery.html", _("Keep your identity safe"), form=form)


def _is_owner(request: HttpRequest, form: RecoveryForm) -> bool:
    # By the ordinary way, so wrong passwords are counted here too.
    name = request.user.get_username()
    if authenticate(request, username=name, password=form.cleaned_data["password"]) is not None:
        return True
    form.add_error("password", _("This is not the password of your login."))
    return False


def _recovery_file(passphrase: str) -> HttpResponse:
    content = identity.export(settings.HUB_DATA, passphrase)
    store.change(recovery_saved_at=timezone.now())
    answer = HttpResponse(content, content_type="application/x-pem-file")
    answer["Content-Disposition"] = 'attachment; filename="recovery.pem"'
    return answer


@_of_owner
def storage(request: HttpRequest) -> HttpResponse:
    """Set from when on the hub warns about the room that it takes."""
    kept = store.hub().size_warning // _GIGABYTE
    form = StorageForm(request.POST or None, initial={"gigabytes": kept})
    if form.is_valid():
        store.change(size_warning=form.cleaned_data["gigabytes"] * _GIGABYTE)
        return redirect("setup-done")
    return page.shown(request, "hub/storage.html", _("Room for your data"), form=form)


@_of_owner
def done(request: HttpRequest) -> HttpResponse:
    """Say what to do next."""
    return page.shown(request, "hub/done.html", _("Your hub is ready"))
