"""The pages of meeting somebody: five ways, and one page for what becomes of each.

A page shows rows of discovery and calls its verbs; what changes while it is open comes by
`thalihub/pages/consumers.py`.
"""

from __future__ import annotations

import datetime
from collections.abc import Coroutine
from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync
from csp.decorators import csp_update
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.svg import SvgPathImage
from qrcode.main import QRCode

from acl import store as people
from acl.core.errors import HubError
from acl.core.keys import key_text
from discovery import pairing, store
from discovery.core import pairing as machine
from discovery.core.errors import NoSuchPairing
from discovery.core.invitation import DEVICE, FRIEND
from discovery.core.pairing import OPEN
from discovery.store import PairingRow
from discovery.store.pairings import value_of
from thalihub.pages import page

_MOST_TEXT = 65_536
_DAYS = (1, 7, 30)


# -- what the pages and their live parts show ----------------------------------------------------


def open_pairings(now: datetime.datetime) -> list[PairingRow]:
    """Return the pairings that wait for somebody, the newest first."""
    store.settle(now)
    return [row for row in store.list_pairings() if row.state in OPEN]


def told(row: PairingRow) -> dict[str, Any]:
    """Return what there is to say of a pairing: who it is by now, or what went wrong."""
    known = [one for one in people.list_principals() if one.key in (row.key, row.their_key)]
    found = next((one for one in known if one.key == row.key), None)
    return {"row": row, "contact": found, "problem": _problem(row)}


def _problem(row: PairingRow) -> str:
    return page.words(machine.error_of(value_of(row))) if row.problem else ""


def drawn(text: str) -> SafeString:
    """Return a QR code as SVG."""
    code = QRCode(error_correction=ERROR_CORRECT_M, border=2, image_factory=SvgPathImage)
    code.add_data(text)
    file = BytesIO()
    code.make_image().save(file)
    _declaration, _, svg = file.getvalue().decode().partition("?>")
    return mark_safe(svg.strip())  # noqa: S308  Made by the library of a text of ours.


# -- pages ---------------------------------------------------------------------------------------


def _purpose(request: HttpRequest) -> str:
    return DEVICE if request.GET.get("purpose") == DEVICE else FRIEND


@admin.site.admin_view
def meet(request: HttpRequest) -> HttpResponse:
    """Offer the ways, and show who waits."""
    purpose = _purpose(request)
    title = _("Add my other device") if purpose == DEVICE else _("Meet somebody")
    return page.shown(request, "people/meet.html", title, purpose=purpose)


@admin.site.admin_view
def show(request: HttpRequest) -> HttpResponse:
    """Show our code."""
    return page.shown(request, "people/show.html", _("Your code"), purpose=_purpose(request))


@csp_update({"worker-src": ["'self'", "blob:"]})  # The scanner's; it has the page's own policy.
@admin.site.admin_view
def scan(request: HttpRequest) -> HttpResponse:
    """Take a code or an invitation: from the camera, a picture, a file, or as text."""
    text = _text(request)
    if text and "yes" in request.POST:
        wanted = pairing.accept(text, timezone.now(), scanned="scanned" in request.POST)
        if row := _done(request, wanted):
            return redirect("pairing", row.pk)
    elif text and (asked := _asked(request, text)) is not None:
        return asked
    return page.shown(request, "people/scan.html", _("Scan a code, or accept an invitation"))


def _text(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    if file is not None:
        return file.read(_MOST_TEXT).decode(errors="replace")
    return request.POST.get("text", "").strip()


def _asked(request: HttpRequest, text: str) -> HttpResponse | None:
    """Ask whether the owner wants what an invitation says; None: it says nothing."""
    try:
        invitation = pairing.read(text)
    except HubError as error:
        messages.error(request, page.words(error))
        return None
    more = {
        "invitation": invitation,
        "key_text": key_text(invitation.key),
        "text": text,
        "scanned": "scanned" in request.POST,
    }
    title = _("Become one of these devices?") if invitation.purpose == DEVICE else _("Connect?")
    return page.shown(request, "people/asked.html", title, **more)


@admin.site.admin_view
def compare(request: HttpRequest) -> HttpResponse:
    """Compare six digits: wait for the other hub, or go to it."""
    now = timezone.now()
    if "wait" in request.POST:
        _done(request, pairing.arm(now))
        return redirect("meet-compare")
    if "compare" in request.POST:
        row = _done(request, _compared(request.POST.get("who", ""), now))
        return redirect("pairing", row.pk) if row else redirect("meet-compare")
    if "with" in request.POST:
        row = _done(request, _compared(f"sha256:{request.POST['with']}", now))
        return redirect("pairing", row.pk) if row else redirect("meet-compare")
    who = request.GET.get("who", "")
    return page.shown(request, "people/compare.html", _("Compare six digits"), who=who)


async def _compared(who: str, now: datetime.datetime) -> PairingRow:
    await pairing.arm(now)
    try:
        return await pairing.compare(who, now)
    except HubError:
        await pairing.disarm()
        raise


@admin.site.admin_view
def invite(request: HttpRequest) -> HttpResponse:
    """Make an invitation, and take back those that nobody has used."""
    now, offer = timezone.now(), None
    if "make" in request.POST:
        days = int(request.POST.get("days", "1")) if _is_offered(request) else 1
        made = pairing.invite(now, purpose=_purpose(request), minutes=days * 24 * 60)
        offer = _done(request, made)
    elif "withdraw" in request.POST and request.POST["withdraw"].isascii():
        number = request.POST["withdraw"]
        if number.isdigit() and len(number) < 19:
            async_to_sync(pairing.withdraw)(int(number))
            messages.success(request, _("Taken back: it does not work any more."))
        return redirect("meet-invite")
    offers = [one for one in store.list_offers(now) if offer is None or one.pk != offer.id]
    more = {"offer": offer, "offers": offers, "purpose": _purpose(request), "days": _DAYS}
    more["subject"] = _("Let us connect our hubs")
    return page.shown(request, "people/invite.html", _("Invite by mail or chat"), **more)


def _is_offered(request: HttpRequest) -> bool:
    return request.POST.get("days", "") in {str(days) for days in _DAYS}


@admin.site.admin_view
def nearby(request: HttpRequest) -> HttpResponse:
    """Show the hubs nearby; add, ignore or dismiss them."""
    now = timezone.now()
    if key := request.POST.get("add"):
        row = _done(request, _compared(f"sha256:{key}", now))
        return redirect("pairing", row.pk) if row else redirect("meet-nearby")
    for verb in (pairing.ignore, pairing.dismiss):
        if key := request.POST.get(verb.__name__):
            _done(request, verb(key))
            return redirect("meet-nearby")
    return page.shown(request, "people/nearby.html", _("Hubs nearby"))


@admin.site.admin_view
def one(request: HttpRequest, number: int) -> HttpResponse:
    """Show what becomes of a pairing; say yes or no to it."""
    try:
        row = store.get_pairing(number)
    except NoSuchPairing:
        raise Http404 from None
    now = timezone.now()
    if "approve" in request.POST:
        name = request.POST.get("name", "").strip() or None
        _done(request, pairing.approve(number, now, name))
    elif "reject" in request.POST:
        _done(request, pairing.reject(number, now))
    if request.method == "POST":
        return redirect("pairing", number)
    return page.shown(request, "people/pairing.html", _("Meet somebody"), **told(row))


def _done(request: HttpRequest, verb: Coroutine[Any, Any, Any]) -> Any:
    """Return what the verb returns; None after an error, which the next page says."""

    async def run() -> Any:
        return await verb

    try:
        return async_to_sync(run)()
    except HubError as error:
        messages.error(request, page.words(error))
        return None
