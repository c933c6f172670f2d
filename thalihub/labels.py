"""What the tables and their columns are called on the admin's pages, in the person's language.

Models name things in English, once.  Here the names are made translatable where Django keeps them,
so that no model, and no migration, has to know of languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.utils.translation import gettext_lazy

_BETTER = {
    "indexs": "indexes",
    "offer row": "code or invitation",
    "offer rows": "codes and invitations",
    "db name": "database",
    "docs read": "documents read",
    "docs written": "documents written",
    "doc write failures": "documents that could not be written",
    "rep id": "replication id",
}
"""Where the name that Django makes of a model's or column's own is no good English."""

_OURS = ("acl", "couchapi", "discovery", "replication", "thalihub")


def translate() -> None:
    """Make every name of our models a text of the catalogues."""
    for model in _models():
        options = model._meta
        options.verbose_name = _named(options.verbose_name)
        options.verbose_name_plural = _named(options.verbose_name_plural)
        for field in _fields(model):
            field.verbose_name = _named(field.verbose_name)
            if field.help_text:
                field.help_text = gettext_lazy(str(field.help_text))
            if field.choices:
                field.choices = [
                    (value, gettext_lazy(str(name))) for value, name in field.flatchoices
                ]


def _named(name: object) -> str:
    text = str(name)
    return gettext_lazy(_BETTER.get(text, text))


def texts() -> Iterator[str]:
    """Give the names that the admin's pages show, for the catalogues."""
    for model in filter(admin.site.is_registered, _models()):
        yield from (str(model._meta.verbose_name), str(model._meta.verbose_name_plural))
        for field in _fields(model):
            yield str(field.verbose_name)
            yield str(field.help_text)
            yield from (str(name) for _, name in field.flatchoices)


def _models() -> Iterator[Any]:
    for name in _OURS:
        yield from apps.get_app_config(name).get_models()


def _fields(model: Any) -> list[Any]:
    return [field for field in model._meta.fields if not field.auto_created]
