"""Every text of the pages is there in every language, and the browser chooses which is shown."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from acl.core.errors import HubError
from discovery.core.errors import InvitationExpired
from thalihub import page
from thalihub.tests import catalogue

_PLACES = re.compile(r"%\([a-z_]+\)s|%d|\{[a-z_]*\}")


def texts_of(message):
    return message if isinstance(message, tuple | list) else (message,)


@pytest.mark.slow
@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_every_text_is_translated(language):
    kept = {one.id: one for one in catalogue.kept(language) if one.id}
    wanted = [one.id for one in catalogue.extracted() if one.id]
    missing = [
        text
        for text in wanted
        if text not in kept or not all(texts_of(kept[text].string)) or kept[text].fuzzy
    ]
    assert missing == [], "Run make messages, then translate what is empty."
    assert sorted(map(str, kept.keys() - set(wanted))) == []


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_a_translation_names_what_its_text_names(language):
    for one in catalogue.kept(language):
        wanted = {place for text in texts_of(one.id) for place in _PLACES.findall(text)}
        for text in texts_of(one.string):
            assert not one.id or set(_PLACES.findall(text)) == wanted, one.id


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_what_django_reads_is_what_the_catalogue_says(language):
    file = catalogue.LOCALE / language / "LC_MESSAGES" / "django.mo"
    assert file.read_bytes() == catalogue.compiled(catalogue.kept(language)), "Run make messages."


@pytest.fixture
def browser(api):
    """A browser in front of the login."""
    return Client(headers={"host": "hub"})


def login_page(browser, **headers):
    return browser.get(reverse("admin:login"), secure=True, headers=headers).content.decode()


def test_the_browsers_language_is_shown(browser):
    assert 'lang="de"' in login_page(browser, **{"accept-language": "de-AT,de;q=0.9"})
    assert 'lang="en"' in login_page(browser, **{"accept-language": "fr"})


def test_the_language_that_is_chosen_in_the_foot_stays(browser):
    sent = {"language": "de", "next": reverse("admin:login")}
    answer = browser.post(reverse("set_language"), sent, secure=True)
    assert answer["location"] == reverse("admin:login")
    assert "Anmelden" in login_page(browser, **{"accept-language": "en"})


def test_the_foot_leads_to_no_other_site(browser):
    sent = {"language": "de", "next": "https://elsewhere.example/"}
    answer = browser.post(reverse("set_language"), sent, secure=True)
    assert "elsewhere" not in answer["location"]


def test_what_goes_wrong_is_said_in_the_persons_language():
    from django.utils import translation

    with translation.override("de"):
        assert page.words(InvitationExpired()).startswith("Diese Einladung ist abgelaufen")
        assert page.words(HubError("Bob knows why.")) == "Bob knows why."
