"""The dashboard: Django's admin, whose first page shows people, sharing, status and warnings."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from thalihub import store
from thalihub.pages import navigation, overview


class HubSite(AdminSite):
    """The hub's pages."""

    site_header = "Thali Device Hub"
    site_title = "Thali Device Hub"
    index_title = _("Your data, and who may see it")
    site_url = None
    # The navigation is ours, above the page: templates/admin/base_site.html.
    enable_nav_sidebar = False
    index_template = "hub/index.html"
    login_template = "hub/login.html"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the hub's name, whether it has an owner, and the navigation."""
        more = {
            "hub_name": str(store.hub()),
            "is_claimed": store.is_claimed(),
            "places": navigation.places(request.path),
        }
        return {**super().each_context(request), **more}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Name the lists in the person's language: models are named in English."""
        found = super().get_app_list(request, app_label)
        for app in found:
            app["name"] = translated(app["name"])
            for model in app["models"]:
                model["name"] = translated(model["name"])
        return found

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show how things are, and the lists below."""
        more = {"overview": overview.now(), **(extra_context or {})}
        return super().index(request, more)


_NAMES = (
    gettext_noop("People and sharing"),
    gettext_noop("Principals"),
    gettext_noop("Groups"),
    gettext_noop("Grants"),
    gettext_noop("Allowed origins"),
    gettext_noop("Databases"),
    gettext_noop("Documents"),
    gettext_noop("Discovery"),
    gettext_noop("Pairings"),
    gettext_noop("Contacts"),
    gettext_noop("Devices"),
    gettext_noop("Introductions"),
    gettext_noop("Sightings"),
    gettext_noop("Replication"),
    gettext_noop("Hub"),
)
"""What the apps below call their lists, for the catalogues."""
