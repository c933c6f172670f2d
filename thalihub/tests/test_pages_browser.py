"""The pages in a real browser: they look right at every width, and do what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from thalihub.tests.hubprocess import HubProcess

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser]

PASSWORD = "seven green bottles"
WIDTHS = (360, 1280)
PAGES = (
    "/admin/",
    "/admin/acl/principal/",
    "/admin/acl/principal/add/",
    "/admin/acl/group/",
    "/admin/acl/grant/",
    "/admin/acl/grant/add/",
    "/admin/acl/allowedorigin/",
    "/admin/couchapi/database/",
    "/admin/couchapi/document/",
    "/admin/auth/user/",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def shared_hub(hub: HubProcess) -> HubProcess:
    """A hub with a login, a database with a document, and a reader."""
    login = {
        "DJANGO_SUPERUSER_USERNAME": "me",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "DJANGO_SUPERUSER_EMAIL": "",
    }
    hub.manage("createsuperuser", "--noinput", **login)
    with hub.client(hub.owner) as owner:
        assert owner.put("/letters").status_code == 201
        assert owner.put("/letters/hello", json={"text": "<i>Good day"}).status_code == 201
    return hub


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


def open_page(browser: Browser, hub: HubProcess, width: int = 1280) -> tuple[Page, list[str]]:
    """Return a page that is logged in, and what it complains of."""
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": width, "height": 800}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: _note(complaints, message))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{hub.pages_url}/admin/")
    page.fill("#id_username", "me")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_selector("#user-tools")
    return page, complaints


def _note(complaints: list[str], message: Any) -> None:
    if message.type in ("error", "warning"):
        complaints.append(message.text)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_has_a_name_and_complains_of_nothing(
    browser: Browser, shared_hub: HubProcess, width: int
) -> None:
    page, complaints = open_page(browser, shared_hub, width)
    for path in PAGES:
        page.goto(shared_hub.pages_url + path)
        assert "Thali Device Hub" in page.title(), path
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert complaints == []


def test_on_a_small_screen_the_navigation_folds_behind_a_button(
    browser: Browser, shared_hub: HubProcess
) -> None:
    page, complaints = open_page(browser, shared_hub, 360)
    people = page.locator(".hub-places a", has_text="People")
    people.wait_for(state="hidden")
    page.get_by_role("button", name="Pages").press("Enter")
    people.click()
    page.wait_for_url("**/people/")
    page.set_viewport_size({"width": 1280, "height": 800})
    people.wait_for(state="visible")
    assert complaints == []


def test_a_document_is_shown_as_text_and_cannot_be_edited(
    browser: Browser, shared_hub: HubProcess
) -> None:
    page, complaints = open_page(browser, shared_hub)
    page.goto(f"{shared_hub.pages_url}/admin/couchapi/document/")
    page.click("text=hello")
    assert "<i>Good day" in page.locator("pre").inner_text()
    assert page.locator("input[name=_save]").count() == 0
    assert complaints == []


def test_a_grant_that_is_made_in_the_form_holds_at_once(
    browser: Browser, shared_hub: HubProcess
) -> None:
    reader = shared_hub.add_person("Ann")
    with shared_hub.client(reader) as client:
        assert client.get("/letters/hello").status_code == 404
        page, _ = open_page(browser, shared_hub)
        page.goto(f"{shared_hub.pages_url}/admin/acl/grant/add/")
        page.fill("#id_database", "letters")
        page.click(".field-principal .select2-selection")
        page.keyboard.type("Ann")
        page.click(".select2-results__option:has-text('Ann')")
        page.check("#id_read")
        page.click("input[name=_save]")
        page.wait_for_selector(".messagelist .success")
        assert client.get("/letters/hello").json()["text"] == "<i>Good day"


def test_a_form_that_is_refused_says_why(browser: Browser, shared_hub: HubProcess) -> None:
    page, _ = open_page(browser, shared_hub)
    page.goto(f"{shared_hub.pages_url}/admin/acl/grant/add/")
    page.fill("#id_database", "letters")
    page.check("#id_read")
    page.click("input[name=_save]")
    page.locator(".errornote").wait_for()
    said = " ".join(page.locator(".errorlist").all_inner_texts())
    assert "Choose a principal or a group" in said


def test_a_wrong_password_is_refused_in_words(browser: Browser, shared_hub: HubProcess) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{shared_hub.pages_url}/admin/")
    page.fill("#id_username", "somebody")
    page.fill("#id_password", "wrong")
    page.click("input[type=submit]")
    assert "correct" in page.locator(".errornote").inner_text()
