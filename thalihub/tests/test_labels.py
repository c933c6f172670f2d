"""The admin's own pages name tables and columns in the person's language."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation

from acl.models import Grant, Principal
from thalihub import labels


@pytest.fixture
def browser(api):
    """The owner's browser, in German."""
    owner = User.objects.create_superuser("labels")
    client = Client(headers={"host": "hub", "accept-language": "de"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def test_tables_columns_and_choices_are_named(browser):
    shown = browser.get(reverse("admin:acl_principal_add"), secure=True).content.decode()
    for words in ("Freund", "Darf Datenbanken anlegen", "Ihr Name dafür."):
        assert words in shown
    assert "ay create databases" not in shown


def test_names_follow_the_language_and_not_the_first_that_asked():
    field = Principal._meta.get_field("revoked")
    for language, said in (("en", "revoked"), ("de", "gesperrt"), ("en", "revoked")):
        with translation.override(language):
            assert field.verbose_name == said
    with translation.override("de"):
        assert Grant._meta.verbose_name_plural == "Freigaben"
        assert Principal(kind="friend").get_kind_display() == "Freund"


def test_what_is_stored_has_no_language(api):
    with translation.override("de"):
        assert Principal.Kind.FRIEND.value == "friend"
        assert {str(text) for text in labels.texts()} >= {"Freigabe", "Freigaben"}
