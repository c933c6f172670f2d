"""The pages of what is in step and of versions that met, in a real browser, with two hubs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.test_pages_browser import FLAGS
from thalihub.tests.test_replication_hubs import add, has, know, url_of
from thalihub.tests.twohubs import Person, person

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.long]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def ada(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub that shares its notes with Bob."""
    with HubProcess(tmp_path / "ada") as hub:
        write(hub, "one", "hello")
        yield hub


@pytest.fixture
def bob(browser: Browser, tmp_path: Path, ada: HubProcess) -> Iterator[Person]:
    """Bob, whose hub fetches them."""
    with person(browser, tmp_path, "Bob") as bob:
        bob.set_up()
        know(ada, "bob", bob.hub)
        ada.manage("grant", "add", "notes", "read", "bob")
        add(bob.hub, "notes", url_of(ada, "notes"), "--pull", "--continuous")
        yield bob
        assert bob.complaints == []


def write(hub: HubProcess, docid: str, text: str) -> None:
    with hub.client(hub.owner) as owner:
        owner.put("/notes")
        held = owner.get(f"/notes/{docid}").json()
        base = {"_rev": held["_rev"]} if "_rev" in held else {}
        answer = owner.put(f"/notes/{docid}", json={"text": text, **base})
        assert answer.status_code == 201


def text_of(hub: HubProcess, docid: str) -> object:
    with hub.client(hub.owner) as owner:
        return owner.get(f"/notes/{docid}").json().get("text")


def test_a_change_arrives_and_the_page_shows_it_without_a_reload(
    ada: HubProcess, bob: Person
) -> None:
    bob.go("/sync/")
    bob.sees("1 change came")
    bob.page.evaluate("window.isTheSamePage = true")
    write(ada, "two", "again")
    bob.sees("2 changes came")
    bob.sees("In step")
    assert has(bob.hub, "/notes/two")
    assert bob.page.evaluate("window.isTheSamePage") is True


def test_the_version_that_lost_is_taken_back(ada: HubProcess, bob: Person) -> None:
    bob.go("/sync/")
    bob.sees("1 change came")
    bob.press("Pause")
    bob.sees("Paused")
    write(ada, "one", "from Ada")
    write(bob.hub, "one", "from Bob")
    bob.press("Go on")
    bob.sees("2 changes came")
    assert text_of(bob.hub, "one") == "from Bob"
    bob.go("/admin/")
    bob.press("1 document")
    bob.press("one")
    bob.sees("The last writer wins")
    marked = [" ".join(text.split()) for text in bob.page.locator("mark").all_inner_texts()]
    assert marked == ['Differs: "text": "from Bob"', 'Differs: "text": "from Ada"']
    bob.press("Keep the other one")
    bob.sees("Both say the same.")
    eventually(lambda: text_of(bob.hub, "one") == "from Ada", what="it holds")
