"""The pages about queries in a real browser: indexes, Mango, views."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from thalihub.tests.hubprocess import HubProcess, eventually
from thalihub.tests.test_pages_browser import FLAGS, PASSWORD, WIDTHS, open_page

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser]

DESIGN = {
    "views": {
        "by_year": {
            "map": "doc => { if (doc.year) emit(doc.year, doc.title) }",
            "reduce": "_count",
        },
        "odd": {"map": "doc => { if (!doc.year) throw new Error('no year'); emit(doc._id) }"},
    }
}


@pytest.fixture(scope="module")
def shared_hub(hub: HubProcess) -> HubProcess:
    """A hub with a login, and a database of letters with views and an index."""
    login = {
        "DJANGO_SUPERUSER_USERNAME": "me",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "DJANGO_SUPERUSER_EMAIL": "",
    }
    hub.manage("createsuperuser", "--noinput", **login)
    docs = [{"_id": f"l{n:02}", "title": f"Letter {n}", "year": 1990 + n % 4} for n in range(60)]
    docs.append({"_id": "undated", "title": "<b>No date</b>"})
    with hub.client(hub.owner) as owner:
        assert owner.put("/letters").status_code == 201
        assert owner.put("/empty").status_code == 201
        assert owner.post("/letters/_bulk_docs", json={"docs": docs}).status_code == 201
        assert owner.put("/letters/_design/lists", json=DESIGN).status_code == 201
        index = {"index": {"fields": ["year"]}, "ddoc": "years", "name": "years"}
        assert owner.post("/letters/_index", json=index).status_code == 200
    return hub


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


def photograph(page: Page, name: str) -> None:
    """Keep a picture of the page where HUB_PICTURES says."""
    if folder := os.environ.get("HUB_PICTURES"):
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


def open_database(page: Page, hub: HubProcess, name: str, link: str) -> None:
    """Go to a page of one database by the links that lead there."""
    page.goto(f"{hub.pages_url}/admin/couchapi/database/")
    page.click(f"tr:has-text('{name}') >> text={link}")


def fits(page: Page, width: int) -> bool:
    fitting: bool = page.evaluate("document.documentElement.scrollWidth") <= width
    return fitting and page.locator("h1").count() == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_indexes_are_shown_and_built(browser: Browser, shared_hub: HubProcess, width: int) -> None:
    page, complaints = open_page(browser, shared_hub, width)
    open_database(page, shared_hub, "empty", "Views and indexes")
    assert "Nothing yet" in page.locator("#content").inner_text()
    photograph(page, "no-indexes")
    open_database(page, shared_hub, "letters", "Views and indexes")
    assert page.locator("section.card").count() == 2
    photograph(page, "indexes-to-build")
    for number in range(1, 3):
        buttons = page.locator("button:has-text('Bring up to date')")
        if buttons.count():  # One may be built already, without being asked.
            buttons.first.click()
        eventually(lambda least=number: built(page) >= least, what="the index is built", pause=0.5)
    text = page.locator("#content").inner_text()
    assert text.count("Up to date") == 2
    assert "undated" in text
    assert "no year" in text
    photograph(page, "indexes")
    assert fits(page, width)
    assert complaints == []


def built(page: Page) -> int:
    """Return how many indexes are up to date now."""
    page.reload()
    return page.locator("text=Up to date").count()


@pytest.mark.parametrize("width", WIDTHS)
def test_documents_are_found_by_a_selector(
    browser: Browser, shared_hub: HubProcess, width: int
) -> None:
    page, complaints = open_page(browser, shared_hub, width)
    open_database(page, shared_hub, "letters", "Find documents")
    page.fill("#selector", '{"year": {"$gte": 1991}}')
    page.fill("#fields", "_id title")
    page.fill("#sort", '["year"]')
    page.click("button:has-text('Find')")
    assert page.locator(".table tbody tr").count() == 25
    assert "index years" in page.locator(".summary").inner_text()
    photograph(page, "find")
    page.click("button:has-text('Next')")
    assert page.locator(".table tbody tr").count() == 20
    assert fits(page, width)
    page.fill("#selector", '{"title": "<b>No date</b>"}')
    page.fill("#fields", "")
    page.fill("#sort", "")
    page.click("button:has-text('Find')")
    assert "<b>No date</b>" in page.locator(".table tbody").inner_text()
    assert "create an index" in page.locator(".hint").inner_text()
    page.fill("#selector", '{"year": {"$no": 1}}')
    page.click("button:has-text('Find')")
    assert "Invalid operator: $no" in page.locator(".problem").inner_text()
    photograph(page, "find-refused")
    assert fits(page, width)
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_view_is_browsed(browser: Browser, shared_hub: HubProcess, width: int) -> None:
    page, complaints = open_page(browser, shared_hub, width)
    open_database(page, shared_hub, "letters", "Views and indexes")
    page.click("a:has-text('by_year')")
    assert "60 rows in all" in page.locator(".summary").inner_text()
    first = page.locator(".table tbody tr").first.inner_text()
    page.click("button:has-text('Next')")
    assert page.locator(".table tbody tr").first.inner_text() != first
    photograph(page, "view")
    page.click("button:has-text('Previous')")
    assert page.locator(".table tbody tr").first.inner_text() == first
    page.fill("#startkey", "1993")
    page.click("button:has-text('Show')")
    assert page.locator(".table tbody tr").count() == 15
    page.check("input[name=reduce]")
    page.fill("#startkey", "")
    page.click("button:has-text('Show')")
    assert page.locator(".table tbody tr").count() == 4
    page.fill("#startkey", "nonsense")
    page.click("button:has-text('Show')")
    assert page.locator(".problem").count() == 1
    assert fits(page, width)
    assert complaints == []
