"""Every text of the pages is there in every language, and the browser chooses which is shown."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from acl.core.errors import HubError
from discovery.core.errors import InvitationExpired
from thalihub import sentences
from thalihub.pages import page
from thalihub.tests import catalogue, refusals

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
    with translation.override("de"):
        assert page.words(InvitationExpired()).startswith("Diese Einladung ist abgelaufen")
        assert page.words(HubError("Bob knows why.")) == "Bob knows why."
        assert page.words(HubError("")) == "internal_server_error"


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "“Bob” is taken. Choose another name.",
            "„Bob“ ist vergeben. Wählen Sie einen anderen Namen.",
        ),
        ("“{0}” is no application.", "„{0}“ ist keine Anwendung."),
        ("“is taken.” is no application.", "„is taken.“ ist keine Anwendung."),
        (
            "“Ann” is not in the group “Choir”. See who is with: manage.py group list",
            "„Ann“ ist nicht in der Gruppe „Choir“. Wer darin ist, zeigt: manage.py group list",
        ),
        ("The other hub answered 418.", "Der andere Hub hat 418 geantwortet."),
        ("x" * 5000, "x" * 5000),
        ("", ""),
    ],
    ids=["a name", "braces", "words of another form", "two names", "a number", "long", "nothing"],
)
def test_a_sentence_with_names_is_known_by_its_form(sentence, said):
    with translation.override("de"):
        assert sentences.said(sentence) == said
    with translation.override("en"):
        assert sentences.said(sentence) == sentence


@pytest.mark.slow
def test_the_forms_of_sentences_are_those_of_the_source():
    assert sentences.FORMS.read_text() == catalogue.forms(), "Run make messages."


@given(st.sampled_from(refusals.forms()), st.lists(st.text(min_size=1), min_size=4, max_size=4))
def test_every_sentence_is_found_again_whatever_its_names_are(form, names):
    sentence = form.format(*names) if "{0}" in form else form
    with translation.override("de"):
        assert sentences.said(sentence) != ""
        assert sentences.said(sentence) != sentence or len(sentence) > 2000
