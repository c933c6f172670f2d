"""Django's record of the app."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class HubAdminConfig(admin_apps.AdminConfig):
    """Django's admin, as the hub's dashboard."""

    default = False
    default_site = "thalihub.site.HubSite"

    def ready(self) -> None:
        """Look for the apps' pages, whose forms take the names of the models as they then are."""
        from thalihub import labels

        labels.translate()
        super().ready()


class ThalihubConfig(AppConfig):
    """The whole."""

    default = True
    name = "thalihub"
    verbose_name = "Hub"

    def ready(self) -> None:
        """Register checks and receivers, and the Celery application that tasks are sent by."""
        from thalihub import celery, checks, receivers  # noqa: F401
