"""The pages of meeting somebody: five ways, and one page for what becomes of each."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from thalihub import page


@admin.site.admin_view
def meet(request: HttpRequest) -> HttpResponse:
    """Offer the ways."""
    purpose = "device" if request.GET.get("purpose") == "device" else "friend"
    title = _("Add my other device") if purpose == "device" else _("Meet somebody")
    return page.shown(request, "people/meet.html", title, purpose=purpose)
