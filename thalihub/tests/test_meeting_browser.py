"""Two people meet by each way, from empty data folders, in real browsers, with few clicks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, sync_playwright

from thalihub.tests import hubprocess
from thalihub.tests.test_pages_browser import FLAGS
from thalihub.tests.twohubs import Person, person

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.long]

MOST_CLICKS = 12
WITHIN = 180
"""Seconds from two empty folders to a shared database on the second hub: longer is a failure."""
SEE = "from django.utils import timezone; from discovery import store; store.see"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def pair(browser: Browser, tmp_path: Path) -> Iterator[tuple[Person, Person]]:
    """Ann, who has a database of letters, and Bob; both have just set up their hubs."""
    with ExitStack() as stack:
        ann, bob = (stack.enter_context(person(browser, tmp_path, name)) for name in ("Ann", "Bob"))
        with ann.hub.client(ann.hub.owner) as owner:
            assert owner.put("/letters").status_code == 201
            assert owner.put("/letters/hello", json={"text": "Good day"}).status_code == 201
        for one in (ann, bob):
            one.set_up()
        yield ann, bob
        assert (ann.complaints, bob.complaints) == ([], [])
        assert max(ann.clicks, bob.clicks) <= MOST_CLICKS


def device(one: Person) -> hubprocess.Person:
    """Return somebody's hub, as it shows itself to others."""
    return hubprocess.Person(one.name, one.hub.data / "device.crt", one.hub.data / "device.key")


def may_read(reader: Person, owner: Person, db_name: str) -> bool:
    with owner.hub.client(device(reader)) as client:
        return bool(client.get(f"/{db_name}").status_code == 200)


def share_letters(ann: Person, bob: Person) -> None:
    assert not may_read(bob, ann, "letters")
    ann.press("Share a database")
    assert ann.page.input_value("#id_who") == "Bob"
    ann.page.select_option("#database", "letters")
    ann.press("Show")
    assert ann.page.input_value("#id_who") == "Bob"
    ann.press("Share")
    ann.sees("It holds from the next request on")
    assert may_read(bob, ann, "letters")


def keep_a_copy(bob: Person) -> None:
    """Fetch what Ann shares, and see it on Bob's own hub."""
    bob.press("People")
    bob.press("Ann")
    bob.press("Keep a copy")
    bob.sees("the copy here is in step")
    with bob.hub.client(bob.hub.owner) as owner:
        assert owner.get("/letters/hello").json()["text"] == "Good day"


def know_each_other(ann: Person, bob: Person, mark: str) -> None:
    """Wait until both pages say so; then see how they stand in the address books."""
    bob.sees("You and Ann know each other now")
    ann.sees("You and Bob know each other now")
    bob.press("People")
    bob.sees(mark)


def digits(one: Person) -> str:
    return one.page.locator(".hub-digits").first.inner_text()


@pytest.mark.timeout(WITHIN)  # It counts from before the hubs start on empty folders.
def test_one_shows_a_code_and_the_other_scans_it(
    pair: tuple[Person, Person], tmp_path: Path
) -> None:
    ann, bob = pair
    for text in ("People", "Meet somebody", "Show my code"):
        ann.press(text)
    ann.page.locator(".hub-qr svg").wait_for()
    ann.page.locator(".hub-qr").screenshot(path=tmp_path / "code.png")
    for text in ("People", "Meet somebody", "Scan a code"):
        bob.press(text)
    bob.page.set_input_files("#picture", tmp_path / "code.png")
    bob.clicks += 1
    bob.page.check("text=I was there")
    bob.clicks += 1
    bob.press("Connect")
    ann.sees("Bob wants to connect")
    bob.sees("Waiting for Ann")
    assert digits(ann) == digits(bob)
    ann.press("Accept")
    know_each_other(ann, bob, "Verified in person")
    share_letters(ann, bob)
    keep_a_copy(bob)


def go_to_compare(ann: Person, bob: Person) -> None:
    for one in (ann, bob):
        for text in ("People", "Meet somebody", "Compare six digits"):
            one.press(text)
    ann.press("Wait here")
    ann.sees("Waiting for the other hub")
    bob.page.fill("#who", digits(ann))
    bob.press("Get the digits")
    for one in (ann, bob):
        one.sees("Do you both see the same six digits?")
    assert digits(ann) == digits(bob)


def test_both_compare_six_digits(pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    go_to_compare(ann, bob)
    bob.press("They don't match")
    for one in (ann, bob):
        one.sees("Not connected")
        one.press("People")
        one.sees("You have not met anybody yet")
        one.clicks = 0
    go_to_compare(ann, bob)
    no, yes = (ann.page.locator(f"button[name={name}]") for name in ("reject", "approve"))
    assert size(no) == size(yes)
    bob.press("They match")
    bob.sees("Waiting for Ann")
    ann.press("They match")
    know_each_other(ann, bob, "Verified in person")
    share_letters(ann, bob)


def size(button: Locator) -> tuple[float, float]:
    box = button.bounding_box()
    assert box is not None
    return box["width"], box["height"]


def test_one_invites_and_the_other_follows_the_link(pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    for text in ("People", "Meet somebody", "Make an invitation", "Make an invitation"):
        ann.press(text)
    link = ann.page.input_value("#link")
    for text in ("People", "Meet somebody", "Accept an invitation"):
        bob.press(text)
    bob.page.fill("#text", f"Hello Bob,\n> {link}\nYours, Ann")
    for text in ("Go on", "Connect"):
        bob.press(text)
    for text in ("People", "Meet somebody", "Bob", "Accept"):
        ann.press(text)
    know_each_other(ann, bob, "Introduced")
    share_letters(ann, bob)
    bob.go("/meet/scan/")
    bob.page.fill("#text", link)
    for text in ("Go on", "Connect"):
        bob.press(text)
    assert "was used a second time" in bob.page.locator(".messagelist").inner_text()


def test_a_hub_nearby_is_added_after_comparing(pair: tuple[Person, Person]) -> None:
    ann, bob = pair
    seen = (ann.hub.status["key"].removeprefix("sha256:"), "Ann", [ann.hub.url.split("/")[-1]])
    bob.hub.manage("shell", "-c", f"{SEE}(*{seen!r}, timezone.now())")
    for text in ("People", "Meet somebody", "Compare six digits", "Wait here"):
        ann.press(text)
    ann.sees("Waiting for the other hub")
    for text in ("People", "Meet somebody", "Hubs nearby", "Add"):
        bob.press(text)
    ann.sees("Do you both see the same six digits?")
    assert digits(ann) == digits(bob)
    for one in (ann, bob):
        one.press("They match")
    know_each_other(ann, bob, "Verified in person")


def test_a_friend_introduces_somebody_by_a_group(
    pair: tuple[Person, Person], browser: Browser, tmp_path: Path
) -> None:
    ann, bob = pair
    with person(browser, tmp_path, "Carl") as carl:
        carl.set_up()
        for one in (bob, carl):
            connect(ann, one)
        ann.go("/people/groups/")
        ann.page.fill("#group", "Choir")
        ann.press("Make the group")
        card = ann.page.locator("section:has(h2:has-text('Choir'))")
        card.locator("select").select_option("Carl")
        card.locator("button:text-is('Add')").click()
        card.locator("summary:has-text('Introduce')").click()
        with ann.page.expect_download() as download:
            card.locator("button:has-text('Save as a file')").click()
        download.value.save_as(tmp_path / "choir.json")
    for text in ("People", "Meet somebody", "Open a group's file"):
        bob.press(text)
    bob.page.set_input_files("#file", tmp_path / "choir.json")
    bob.press("Open")
    bob.page.check("label:has-text('Carl') input")
    bob.press("Add those")
    bob.sees("Introduced by Ann")


def connect(ann: Person, other: Person) -> None:
    """Connect two by the shortest way, which other tests look at."""
    url = ann.hub.manage("invitation", "make", "--json").partition('"url": "')[2].split('"')[0]
    other.hub.manage("invitation", "accept", url)
    ann.go("/meet/")
    ann.page.click(f"main a:text-is('{other.name}')")
    ann.press("Accept")
    ann.sees(f"You and {other.name} know each other now")
    hubprocess.eventually(lambda: knows(other, ann), what=f"{other.name} knows Ann", pause=0.5)


def knows(one: Person, other: Person) -> bool:
    one.go("/people/")
    return one.page.locator(f"main h2:has-text({other.name!r})").count() == 1


def test_another_hub_becomes_a_device_and_is_revoked(
    pair: tuple[Person, Person], tmp_path: Path
) -> None:
    ann, phone = pair
    for text in ("Devices", "Add my other device", "Show a code for my device"):
        ann.press(text)
    ann.page.locator(".hub-qr svg").wait_for()
    ann.page.locator(".hub-qr").screenshot(path=tmp_path / "code.png")
    for text in ("Devices", "Add my other device", "Scan a code"):
        phone.press(text)
    phone.page.set_input_files("#picture", tmp_path / "code.png")
    phone.press("Become a device")
    ann.press("Accept")
    phone.sees("This hub is one of your devices now")
    ann.sees("Your device is added")
    assert may_read(phone, ann, "letters")
    ann.press("Your devices")
    card = ann.page.locator("section:has(h2:has-text('Hub of Bob'))")
    card.locator("summary:has-text('Revoke')").click()
    card.locator("button:has-text('Revoke')").click()
    ann.sees("Revoked. It is let in nowhere any more.")
    assert not may_read(phone, ann, "letters")
