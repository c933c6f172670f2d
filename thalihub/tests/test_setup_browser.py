"""First start in a real browser, and the pages for people who do not see or do not click."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from thalihub.tests.hubprocess import SOURCE, HubProcess
from thalihub.tests.test_pages_browser import FLAGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.requires_browser,
    pytest.mark.requires_node,
]
AXE = SOURCE / "clients" / "node_modules" / "axe-core" / "axe.min.js"
FILLED = {
    "hub_name": "Attic",
    "person": "Ann",
    "username": "ann",
    "password": "seven green bottles",
    "again": "seven green bottles",
}
PASSPHRASE = "four words and one more"
BEHIND_THE_LOGIN = (
    "/admin/",
    "/admin/setup/recovery/",
    "/admin/setup/storage/",
    "/admin/setup/done/",
    "/admin/sharing/?as=Bob",
    "/admin/acl/principal/",
    "/admin/acl/grant/add/",
    "/admin/couchapi/database/",
    "/admin/couchapi/document/",
    "/admin/password_change/",
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium: Browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS
        )
        yield chromium.new_context(ignore_https_errors=True).new_page()
        chromium.close()


def faults(page: Page) -> list[str]:
    """Return what a person with an impairment would stumble over, by axe."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(result => result.violations)")
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']} {node['target']}" for one in grave for node in one["nodes"]]


def check(page: Page, url: str) -> list[str]:
    """Return the faults of a page at both widths, by day and by night."""
    found = []
    for colours in ("light", "dark"):
        for width in (360, 1280):
            page.emulate_media(color_scheme=colours)
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(url)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{url} is too wide at {width}")
            found += [f"{url} {colours} {width}: {fault}" for fault in faults(page)]
    return found


def test_the_owner_sets_the_hub_up_by_keyboard_and_saves_the_identity(
    page: Page, hub: HubProcess, tmp_path: Path
) -> None:
    link = (hub.data / "setup-link.txt").read_text().strip()
    assert link in hub.log.read_text()
    assert check(page, f"{hub.pages_url}/admin/") == []
    assert check(page, link) == []
    page.focus("#id_hub_name")
    for value in FILLED.values():
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/setup/recovery/")
    page.fill("#id_passphrase", PASSPHRASE)
    page.fill("#id_again", PASSPHRASE)
    page.fill("#id_password", FILLED["password"])
    with page.expect_download() as download:
        page.click("button.hub-main")
    file = tmp_path / "recovery.pem"
    download.value.save_as(file)
    _identity_is_in(file, hub, tmp_path)
    assert not (hub.data / "setup-link.txt").exists()


def _identity_is_in(file: Path, hub: HubProcess, folder: Path) -> None:
    other = HubProcess(folder / "other")
    other.manage("identity", "import", str(file), HUB_PASSPHRASE=PASSPHRASE)
    assert hub.status["key"] in other.manage("identity", "show", "--json")


def test_an_identity_is_taken_back_on_the_page_of_another_hub(
    page: Page, hub: HubProcess, tmp_path: Path
) -> None:
    file = tmp_path / "recovery.pem"
    hub.manage("identity", "export", str(file), HUB_PASSPHRASE=PASSPHRASE)
    with HubProcess(tmp_path / "other") as other:
        assert other.status["key"] != hub.status["key"]
        page.goto((other.data / "setup-link.txt").read_text().strip())
        page.click("summary")
        page.set_input_files("#id_file", file)
        page.fill("#id_secret", PASSPHRASE)
        page.click("button[name=restore]")
        page.wait_for_selector("text=Your identity is back")
        assert json.loads((other.data / "hub.json").read_text())["key"] == hub.status["key"]
        with other.client(other.owner) as owner:
            assert owner.get("/_all_dbs").status_code == 200
        for field, value in FILLED.items():
            page.fill(f"#id_{field}", value)
        page.click("text=This hub is mine")
        page.wait_for_url("**/admin/setup/recovery/")
        other.restart()
        assert other.status["key"] == hub.status["key"]


def test_every_page_behind_the_login_can_be_used_by_everybody(page: Page, hub: HubProcess) -> None:
    with hub.client(hub.owner) as owner:
        assert owner.put("/letters").status_code == 201
    hub.add_person("Bob", "letters:read")
    found = [fault for path in BEHIND_THE_LOGIN for fault in check(page, hub.pages_url + path)]
    assert found == []


def test_a_limit_that_is_set_is_kept(page: Page, hub: HubProcess) -> None:
    page.goto(f"{hub.pages_url}/admin/setup/storage/")
    page.fill("#id_gigabytes", "20")
    page.click("button.hub-main")
    page.wait_for_url("**/admin/setup/done/")
    page.goto(f"{hub.pages_url}/admin/setup/storage/")
    assert page.input_value("#id_gigabytes") == "20"


def test_a_used_link_is_refused_in_words_and_no_fresh_one_is_made(
    page: Page, hub: HubProcess
) -> None:
    page.goto(f"{hub.pages_url}/setup/anything/")
    assert "has an owner already" in page.locator("main").inner_text()
    refused = hub.try_manage("setup-link")
    assert refused.returncode == 1
    assert "has an owner already" in refused.stderr
    hub.restart()
    assert not (hub.data / "setup-link.txt").exists()


def test_five_wrong_passwords_close_the_login_for_a_while(page: Page, hub: HubProcess) -> None:
    page.context.clear_cookies()
    for _ in range(5):
        page.goto(f"{hub.pages_url}/admin/login/")
        page.fill("#id_username", "ann")
        page.fill("#id_password", "wrong")
        page.click("input[type=submit]")
    assert "Wait a quarter of an hour" in page.locator("main").inner_text()
    assert faults(page) == []
