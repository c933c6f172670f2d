"""What the owner changes on the page of sharing, a real PouchDB feels at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.pouch import Pouch, PouchError
from thalihub.tests.test_pages_browser import FLAGS, PASSWORD, open_page

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.requires_node]


@pytest.fixture
def page(hub: HubProcess) -> Iterator[Page]:
    login = {"DJANGO_SUPERUSER_USERNAME": "me", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    hub.manage("createsuperuser", "--noinput", DJANGO_SUPERUSER_EMAIL="", **login)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield open_page(chromium, hub)[0]
        chromium.close()


def share(page: Page, *rights: str) -> None:
    page.select_option("#id_who", "Bob")
    for right in ("read", "write"):
        page.set_checked(f"#id_{right}", right in rights)
    page.click("button[name=add]")
    page.wait_for_selector(".messagelist .success")


def test_a_right_is_given_widened_and_taken_back(
    page: Page, hub: HubProcess, tmp_path: Path
) -> None:
    bob = hub.add_person("Bob")
    with hub.client(hub.owner) as owner:
        owner.put("/letters")
        owner.put("/letters/hello", json={"text": "Good day"})
    page.goto(f"{hub.pages_url}/admin/sharing/?database=letters")
    with Pouch(tmp_path, hub, "letters", bob) as pouch:
        with pytest.raises(PouchError):
            pouch.pull()
        share(page, "read")
        pouch.pull()
        assert pouch.has("hello", text="Good day")
        with pytest.raises(PouchError) as refused:
            pouch.remote("put", {"_id": "answer"})
        assert refused.value.status == 403
        share(page, "read", "write")
        assert pouch.remote("put", {"_id": "answer"})["ok"]
        page.click("button[aria-label='Remove Bob']")
        page.wait_for_selector("text=Nobody but you and your own devices.")
        with pytest.raises(PouchError) as refused:
            pouch.remote("get", "hello")
        assert refused.value.status == 404
