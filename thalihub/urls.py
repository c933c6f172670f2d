"""The pages, on their own port: Django's admin behind a login."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from thalihub.pages import (
    applicationpages,
    backuppages,
    conflicts,
    contacts,
    devices,
    groups,
    introducing,
    logpage,
    meeting,
    messaging,
    nearbypages,
    sharing,
    statuspage,
    storing,
    syncing,
    torpages,
    views,
)

# A hub has groups of its own, of people: those of logins would only confuse.
admin.site.unregister(Group)

handler500 = "thalihub.failing.failed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("language/", set_language, name="set_language"),
    # Before the admin's own, which take every address below theirs.
    path("setup/<str:token>/", views.claim, name="setup"),
    path("admin/setup/recovery/", views.recovery, name="setup-recovery"),
    path("admin/setup/storage/", views.storage, name="setup-storage"),
    path("admin/setup/done/", views.done, name="setup-done"),
    path("people/", contacts.contacts, name="people"),
    path("people/groups/", groups.groups, name="groups"),
    path("people/<int:pk>/", contacts.contact, name="contact"),
    path("meet/", meeting.meet, name="meet"),
    path("meet/show/", meeting.show, name="meet-show"),
    path("meet/scan/", meeting.scan, name="meet-scan"),
    path("meet/compare/", meeting.compare, name="meet-compare"),
    path("meet/invite/", meeting.invite, name="meet-invite"),
    path("meet/nearby/", meeting.nearby, name="meet-nearby"),
    path("meet/group/", introducing.group, name="meet-group"),
    path("meet/<int:number>/", meeting.one, name="pairing"),
    path("inbox/", messaging.inbox, name="inbox"),
    path("devices/", devices.devices, name="devices"),
    path("sync/", syncing.sync, name="sync"),
    path("sync/status.json", syncing.status, name="sync-status"),
    path("admin/status.json", syncing.status, name="status"),
    path("storage/", storing.storage, name="storage"),
    path("status/", statuspage.status, name="hub-status"),
    path("log/", logpage.log, name="log"),
    path("log/bundle/", logpage.support, name="log-bundle"),
    path("health/", statuspage.health, name="health"),
    path("backups/", backuppages.backups, name="backups"),
    path("backups/<int:number>/", backuppages.download, name="backup-file"),
    path("nearby/", nearbypages.nearby_page, name="nearby"),
    path("tor/", torpages.tor_page, name="tor"),
    path("conflicts/", conflicts.conflicts, name="conflicts"),
    path("conflicts/document/", conflicts.conflict, name="conflict"),
    path("apps/", applicationpages.applications_page, name="applications"),
    path("apps/connect", applicationpages.connect, name="connect"),
    path("admin/sharing/", sharing.page, name="sharing"),
    path("admin/", admin.site.urls),
]
