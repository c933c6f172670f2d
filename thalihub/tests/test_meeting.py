"""The pages of meeting somebody say what will happen, and what went wrong."""

from __future__ import annotations

import datetime
import html
import json
import re
from urllib.parse import parse_qs, unquote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from acl import store as people
from acl.core.keys import key_text
from discovery import store
from discovery.core import card as cards
from discovery.core import invitation as invitations
from discovery.core import pairing as machine
from discovery.core.card import Hub
from discovery.core.invitation import DEVICE, FRIEND, Invitation
from discovery.core.pairing import State, Trust, Way

KEY = "A" * 43


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    store.set_me(name="Ann", hub="Attic", addresses=["127.0.0.1:1"])
    owner = User.objects.create_superuser("meeting")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def text_of(answer):
    """Return what stands on a page, without tags."""
    page = answer.content.decode()
    page = page[page.index("<main") :]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def show(browser, path):
    return text_of(browser.get(path, secure=True))


def send(browser, path, **fields):
    return text_of(browser.post(path, fields, secure=True, follow=True))


def link(purpose=FRIEND, minutes=10_000, address="127.0.0.1:1"):
    expires = timezone.now() + datetime.timedelta(minutes=minutes)
    return invitations.link(Invitation(KEY, (address,), b"s" * 16, expires, "Berta", purpose))


def test_an_invitation_says_who_and_what_before_anything_is_sent(browser):
    shown = send(browser, "/meet/scan/", text=f"Dear Ann,\n{link()}\n")
    assert "Berta" in shown
    assert key_text(KEY) in shown
    assert "They see nothing of yours until you share it" in shown


def test_an_invitation_to_be_a_device_says_what_that_means(browser):
    shown = send(browser, "/meet/scan/", text=link(DEVICE))
    assert "they can read and change everything here" in shown
    assert "Go on only if that person is you" in shown


def test_an_invitation_comes_as_a_file_too(browser):
    file = SimpleUploadedFile("a.thali", f"An invitation\n{link()}\n".encode())
    assert "Berta" in send(browser, "/meet/scan/", file=file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "This is not an invitation"),
        (link(minutes=-5), "This invitation has expired"),
        (link(), "Nobody answers at this address"),
    ],
    ids=["nonsense", "old", "nobody there"],
)
def test_what_went_wrong_is_said_in_words(browser, text, said):
    assert said in send(browser, "/meet/scan/", text=text, yes="1")


def test_an_address_that_is_none_is_refused_and_the_hub_is_not_left_open(browser):
    assert "This is not an address" in send(browser, "/meet/compare/", compare="1", who="there")
    assert store.armed_until(timezone.now()) is None


def test_the_hub_waits_for_a_comparison_when_it_is_told_to(browser):
    send(browser, "/meet/compare/", wait="1")
    assert store.armed_until(timezone.now()) is not None
    store.disarm()


@pytest.mark.parametrize(("days", "given"), [("7", 7), ("30", 30), ("4000", 1), ("x", 1)])
def test_an_invitation_lasts_as_long_as_was_chosen(browser, days, given):
    page = browser.post("/meet/invite/", {"make": "1", "days": days}, secure=True)
    found = re.search(r"httpkey://[^<]+", html.unescape(page.content.decode()))
    lasts = invitations.read(found[0]).expires - timezone.now()
    assert datetime.timedelta(days=given, minutes=-1) < lasts <= datetime.timedelta(days=given)
    (number,) = re.findall(r'name="withdraw" value="(\d+)"', browser.get(
        "/meet/invite/", secure=True).content.decode())  # fmt: skip
    assert "it does not work any more" in send(browser, "/meet/invite/", withdraw=number)
    assert store.list_offers(timezone.now()) == []


def test_an_invitation_is_copied_mailed_or_saved_as_a_file(browser):
    sent = browser.post("/meet/invite/", {"make": "1", "days": "1"}, secure=True)
    page = html.unescape(sent.content.decode())
    found = re.search(r'<textarea id="link"[^>]*>([^<]+)', page)[1]
    mail, file = (
        re.search(r'"mailto:\?([^"]+)"', page)[1],
        re.search(r'"data:[^,]+,([^"]+)"', page)[1],
    )
    assert 'data-copy="link"' in page
    for text in (parse_qs(mail)["body"][0], unquote(file)):
        assert invitations.read(text) == invitations.read(found)
    for offer in store.list_offers(timezone.now()):
        offer.delete()


@pytest.mark.parametrize("number", ["x", "²", "-1", "9" * 30])
def test_a_number_that_is_none_takes_nothing_back(browser, number):
    assert send(browser, "/meet/invite/", withdraw=number)


def test_hubs_nearby_are_dismissed_and_ignored(browser):
    for name in ("dismiss", "ignore"):
        store.see(f"{name[0]}" + "B" * 42, name, ["127.0.0.1:1"], timezone.now())
        send(browser, "/meet/nearby/", **{name: f"{name[0]}" + "B" * 42})
    assert store.list_sightings(timezone.now()) == []


def request_of(card, way=Way.QR):
    """Return the number of a pairing that waits for the owner."""
    number = len(store.list_pairings()) + 1
    pairing = machine.Pairing(
        way,
        outgoing=False,
        state=State.REQUESTED,
        deadline=timezone.now() + datetime.timedelta(minutes=5),
        sid=b"meet" + number.to_bytes(12),
        our_key=b"o" * 32,
        their_key=b"t" * 32,
        transcript=b"x" * 32,
    )
    facts = {"key": card.key, "name": card.name, "card": dict(card.document)}
    return store.add_pairing(pairing, timezone.now(), **facts).pk


def card_of(name):
    private = ec.generate_private_key(ec.SECP256R1())
    hub = Hub(KEY, "", ("127.0.0.1:1",))
    return cards.read(cards.make(private, name, [hub], changed="2030-01-01T00:00:00+00:00"))


def test_a_request_says_how_it_came_and_what_yes_means(browser):
    number = request_of(card_of("Hanna"))
    shown = show(browser, f"/meet/{number}/")
    for words in ("Hanna wants to connect", "scanned the code on your screen", "If you accept"):
        assert words in shown
    assert "Not connected" in send(browser, f"/meet/{number}/", reject="1")


def test_somebody_who_is_accepted_has_the_owners_name_for_them(browser, new_name):
    card = card_of("Hanna")
    name = f"Hanni {new_name()}"
    shown = send(browser, f"/meet/{request_of(card)}/", approve="1", name=name)
    assert f"You and {name} know each other now" in shown
    assert store.contact(name).trust == Trust.VERIFIED
    people.remove_principal(name)


def test_yes_to_what_is_over_is_refused_in_words(browser):
    number = request_of(card_of("Hanna"))
    send(browser, f"/meet/{number}/", reject="1")
    assert "This cannot be done now" in send(browser, f"/meet/{number}/", approve="1")


@pytest.mark.parametrize("number", ["999999999", "9" * 40, "0"])
def test_what_is_not_there_is_not_found(browser, number):
    for path in ("meet", "people"):
        assert browser.get(f"/{path}/{number}/", secure=True).status_code == 404


def test_a_group_of_somebody_unknown_is_refused_in_words(browser):
    stranger = ec.generate_private_key(ec.SECP256R1())
    group = cards.make_group(stranger, "Choir", [card_of("Ida").document], "2030-01-01T00:00:00Z")
    shown = send(browser, "/meet/group/", text=json.dumps(group))
    assert "signed by somebody whom you do not know" in shown
    assert "does not understand" in send(browser, "/meet/group/", text="{}")


def test_those_who_are_picked_from_a_group_are_added_and_nobody_else(browser, new_name):
    private = ec.generate_private_key(ec.SECP256R1())
    by = f"Berta {new_name()}"
    hub = Hub(KEY, "", ("127.0.0.1:1",))
    card = cards.read(cards.make(private, by, [hub], changed="2030-01-01T00:00:00+00:00"))
    store.introduce(card, "", timezone.now())
    ida, jan = card_of(f"Ida {new_name()}"), card_of(f"Jan {new_name()}")
    members = [ida.document, jan.document]
    text = json.dumps(cards.make_group(private, "Choir", members, "2030-01-01T00:00:00Z"))
    assert f"{by} has signed this file" in send(browser, "/meet/group/", text=text)
    shown = send(browser, "/meet/group/", text=text, add="1", pick=ida.key)
    assert "1 person is added." in shown
    assert store.contact(ida.key).introduced_by == by
    assert jan.key not in [one.key for one in people.list_principals()]
    for name in (by, ida.name):
        people.remove_principal(name)
