"""Every page can be used by everybody: seen or heard, by mouse or by keys, on a phone, at night."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from thalihub.tests.hubprocess import SOURCE, HubProcess
from thalihub.tests.test_pages_browser import FLAGS, PASSWORD, open_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.requires_browser,
    pytest.mark.requires_node,
]
AXE = SOURCE / "clients" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = (
    "/admin/",
    "/admin/setup/recovery/",
    "/admin/setup/storage/",
    "/admin/setup/done/",
    "/people/",
    "{contact}",
    "{alarm}",
    "/people/groups/",
    "/meet/",
    "/meet/?purpose=device",
    "/meet/show/",
    "/meet/show/?purpose=device",
    "/meet/scan/",
    "/meet/compare/",
    "/meet/invite/",
    "/meet/nearby/",
    "/meet/group/",
    *(f"{{{state}}}" for state in (
        "starting", "comparing", "waiting", "requested", "confirmed", "paired", "rejected",
        "expired", "failed",
    )),
    "/devices/",
    "/sync/",
    "/storage/",
    "/backups/",
    "/status/",
    "/log/",
    "/conflicts/",
    "/conflicts/document/?database=letters&document=hello",
    "/nearby/",
    "/tor/",
    "/inbox/",
    "/admin/sharing/?database=letters&as=Berta",
    "/apps/",
    "/apps/connect?name=Notes&databases=notes&origin=https%3A%2F%2Fnotes.example",
    "/admin/acl/principal/",
    "/admin/acl/principal/add/",
    "/admin/acl/group/",
    "/admin/acl/grant/",
    "/admin/acl/grant/add/",
    "/admin/couchapi/database/",
    "/admin/couchapi/document/",
    "/admin/couchapi/database/1/change/",
    "/admin/couchapi/database/1/indexes/",
    "/admin/couchapi/database/1/query/",
    "/admin/auth/user/",
    "/admin/password_change/",
)  # fmt: skip
# What the Tab key stops at; of a group of radio buttons, the one that is chosen.
MARK_STOPS = """() => {
  const SEEN = { opacityProperty: true, visibilityProperty: true };
  const stops = "a[href], button, input, select, textarea, summary, video[controls]";
  const found = [...document.querySelectorAll(stops)].filter((one) => one.checkVisibility(SEEN)
    && !one.disabled && one.tabIndex >= 0 && !(one.type === "radio" && !one.checked));
  found.forEach((one) => one.dataset.stop = "");
  document.activeElement.blur();
  return found.length;
}"""
NOTE_STOP = """() => {
  document.activeElement.removeAttribute("data-stop");
  return document.querySelectorAll("[data-stop]").length;
}"""
MISSED = "() => [...document.querySelectorAll('[data-stop]')].map((one) => one.outerHTML)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def addresses(hub: HubProcess) -> dict[str, str]:
    """The pages of a hub that has been in use."""
    login = {"DJANGO_SUPERUSER_USERNAME": "me", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    hub.manage("createsuperuser", "--noinput", DJANGO_SUPERUSER_EMAIL="", **login)
    with hub.client(hub.owner) as owner:
        for name in ("letters", "photos", "recipes"):
            assert owner.put(f"/{name}").status_code == 201
        message = {"from": "Berta", "subject": "Party", "text": "On Sunday?"}
        assert owner.put("/inbox/party", json=message).status_code == 201
        assert owner.put("/letters/hello", json={"text": "Good day"}).status_code == 201
    said = hub.manage("shell", "-v", "0", "-c", "from thalihub.tests import scenes; scenes.fill()")
    known: dict[str, str] = json.loads(said.splitlines()[-1])
    return known


@pytest.fixture(scope="module")
def page(browser: Browser, hub: HubProcess, addresses: dict[str, str]) -> Page:
    page, _complaints = open_page(browser, hub)
    return page


def opened(page: Page, url: str) -> None:
    """Open a page, and wait for the parts that come later."""
    page.goto(url)
    page.wait_for_selector("[data-live]:not([aria-busy=false])", state="detached")


def faults(page: Page) -> list[str]:
    """Return what a person with an impairment would stumble over, by axe."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then((result) => result.violations)")
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']} {node['target']}" for one in grave for node in one["nodes"]]


def check(page: Page, url: str) -> list[str]:
    """Return the faults of a page at both widths, by day and by night."""
    found = []
    for width, language in ((360, "de"), (360, "en"), (1280, "en")):
        page.set_viewport_size({"width": width, "height": 800})
        page.context.add_cookies([{"name": "django_language", "value": language, "url": url}])
        opened(page, url)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"too wide at {width} in {language}")
        # The words have no colours.
        for colours in ("light", "dark") if language == "en" else ():
            page.emulate_media(color_scheme=colours)
            page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
            found += [f"{colours} {width}: {fault}" for fault in faults(page)]
    return found


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_everybody(
    page: Page, hub: HubProcess, addresses: dict[str, str], path: str
) -> None:
    url = hub.pages_url + path.format(**addresses)
    assert check(page, url) == []
    assert page.locator("h1").count() == 1
    assert unreached(page) == []


def unreached(page: Page) -> list[str]:
    """Return the controls at which the Tab key does not stop."""
    stops = page.evaluate(MARK_STOPS)
    assert stops > 0
    for _ in range(2 * stops + 10):  # It begins where the page has put the cursor.
        page.keyboard.press("Tab")
        if page.evaluate(NOTE_STOP) == 0:
            break
    missed: list[str] = page.evaluate(MISSED)
    return missed
