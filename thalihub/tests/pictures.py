"""Pictures of the pages for the documents: `make pictures`.

What differs from run to run (keys, ports, digits, codes) is painted over with fixed values, so that
a picture changes when its page does.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
from playwright.sync_api import Page, sync_playwright

from thalihub.tests.hubprocess import SOURCE, HubProcess
from thalihub.tests.test_pages_browser import FLAGS

FOLDER = SOURCE / "docs" / "pictures"
LINK = "httpkey://192.168.1.20:6984/sha256:" + "T" * 43 + "/#s=" + "h" * 22 + "&e=tmw0hs&n=Ann"
DRAW = f"from thalihub.pages.meeting import drawn; print(drawn({LINK!r}))"
PAINT = """(code) => {
  const KEY = "7HUBKEY-THALIQR-EXAMPLE-OFAKEYT-EXTWHIC-HPEOPLE-COMPARE-TOGETHE";
  const steps = [
    [/[A-Z2-7]{7}(-[A-Z2-7]{7}){7}/g, KEY],
    [/\\b(127\\.0\\.0\\.1):\\d{5}(?=.apps.connect)/g, "$1:8443"],
    [/\\b(127\\.0\\.0\\.1):\\d{5}\\b/g, "$1:6984"],
    [/\\/tmp\\/[^/]+\\//g, "/srv/hub/"],
    [/127\\.0\\.0\\.1:1$/g, "192.168.1.20:6984"],
    [/\\b\\d{3} \\d{3}\\b/g, "042 917"],
  ];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (const [found, shown] of steps)
      walker.currentNode.data = walker.currentNode.data.replace(found, shown);
  }
  document.querySelectorAll("p > code").forEach((one) => {
    if (/^[A-Z2-7]{7}$/.test(one.textContent)) one.textContent = KEY.slice(0, 7);
  });
  document.querySelectorAll(".hub-list .hub-quiet").forEach((one) => {
    if (/^[A-Z2-7]{7}$/.test(one.textContent)) one.textContent = KEY.slice(0, 7);
  });
  document.querySelectorAll(".hub-qr").forEach((one) => { one.innerHTML = code; });
  document.querySelectorAll("input[type=file]").forEach((one) => one.blur());
}"""


class Shot(NamedTuple):
    """One picture: its name, the page, how wide it is, in which colours and language."""

    name: str
    path: str
    width: int = 1000
    colours: str = "light"
    language: str = "en"
    most: int = 0
    """How many pixels of its height are shown; 0: all."""


SHOTS: Sequence[Shot] = (
    Shot("limit", "/admin/setup/storage/"),
    Shot("done", "/admin/setup/done/"),
    Shot("overview", "/admin/"),
    Shot("meet", "/meet/"),
    Shot("code", "/meet/show/"),
    Shot("scan", "/meet/scan/"),
    Shot("request", "{requested}"),
    Shot("digits", "{comparing}"),
    Shot("invite", "/meet/invite/"),
    Shot("group-file", "/meet/group/"),
    Shot("stopped", "{failed}"),
    Shot("nearby", "/meet/nearby/"),
    Shot("hubs-nearby", "/nearby/"),
    Shot("people", "/people/"),
    Shot("person", "{contact}"),
    Shot("key-changed", "{alarm}"),
    Shot("groups", "/people/groups/"),
    Shot("devices", "/devices/"),
    Shot("sharing", "/admin/sharing/?database=letters&as=Berta"),
    Shot("in-step", "/sync/", most=1100),
    Shot("conflicts", "/conflicts/?database=letters"),
    Shot("conflict", "/conflicts/document/?database=letters&document=hello"),
    Shot("storage", "/storage/", most=1400),
    Shot("backups", "/backups/"),
    Shot("tor", "/tor/"),
    Shot("status", "/status/"),
    Shot("connect", "/apps/connect?name=Notes&databases=notes&origin=https%3A%2F%2Fnotes.example"),
    Shot("applications", "/apps/"),
    Shot("inbox", "/inbox/"),
    Shot("phone", "/admin/", 360, "dark"),
    Shot("phone-german", "/meet/", 360, "light", "de"),
)


def main() -> None:
    """Take all pictures into docs/pictures, or into the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        HubProcess(Path(data)) as hub,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = chromium.new_context(ignore_https_errors=True).new_page()
        _take_all(page, hub, folder)
        chromium.close()


def _take_all(page: Page, hub: HubProcess, folder: Path) -> None:
    code = hub.manage("shell", "-v", "0", "-c", DRAW)
    _claim(page, hub, folder, code)
    addresses = _filled(hub)
    _wait_for_the_clock(hub)
    for shot in SHOTS:
        page.context.clear_cookies(name="django_language")
        cookie = {"name": "django_language", "value": shot.language, "url": hub.pages_url}
        page.context.add_cookies([cookie])  # type: ignore[list-item]
        _take(page, folder, shot, hub.pages_url + shot.path.format(**addresses), code)


def _claim(page: Page, hub: HubProcess, folder: Path, code: str) -> None:
    link = (hub.data / "setup-link.txt").read_text().strip()
    _take(page, folder, Shot("set-up", ""), link, code)
    words = "seven green bottles"
    filled = {"hub_name": "Living room", "person": "Ann", "username": "ann"}
    for field, value in {**filled, "password": words, "again": words}.items():
        page.fill(f"#id_{field}", value)
    page.click("button.hub-main")
    page.wait_for_url("**/admin/setup/recovery/")
    _take(page, folder, Shot("recovery", ""), page.url, code)


def _filled(hub: HubProcess) -> dict[str, str]:
    with hub.client(hub.owner) as owner:
        for name in ("letters", "photos", "recipes"):
            owner.put(f"/{name}")
        owner.put("/letters/hello", json={"text": "Good morning", "to": ["Berta"]})
        message = {"from": "Berta", "subject": "Party", "text": "On Sunday at four. Bring a cake!"}
        owner.put("/inbox/party", json=message)
        _stored(owner)
    said = hub.manage("shell", "-v", "0", "-c", "from thalihub.tests import scenes; scenes.fill()")
    hub.manage("shell", "-v", "0", "-c", "from thalihub.tests import scenes; scenes.calm()")
    hub.manage("shell", "-v", "0", "-c", "from thalihub.tests import scenes; scenes.reachable()")
    known: dict[str, str] = json.loads(said.splitlines()[-1])
    return known


def _stored(owner: httpx.Client) -> None:
    """Let databases differ in what they consist of: attachments, old versions."""
    for number in range(1, 9):
        photo = base64.b64encode(random.Random(number).randbytes(180_000 * number)).decode()  # noqa: S311
        held = {"beach.jpg": {"content_type": "image/jpeg", "data": photo}}
        owner.put(f"/photos/summer-{number}", json={"taken": "2026-07-11", "_attachments": held})
    for name in ("bread", "plum cake", "soup"):
        rev: dict[str, str] = {}
        for number in range(60):
            text = f"Version {number}: " + "flour, butter, sugar; " * 40
            said = owner.put(f"/recipes/{name}", json={"text": text, **rev}).json()
            rev = {"_rev": said["rev"]}


def _wait_for_the_clock(hub: HubProcess) -> None:
    """Wait until what runs by the clock has run, so that the status page does not wait for it."""
    while "It has not looked yet." in hub.try_manage("doctor", "--json").stdout:
        time.sleep(2)


def _take(page: Page, folder: Path, shot: Shot, url: str, code: str) -> None:
    page.set_viewport_size({"width": shot.width, "height": 600})
    page.emulate_media(color_scheme=shot.colours)  # type: ignore[arg-type]
    page.goto(url)
    page.wait_for_selector("[data-live]:not([aria-busy=false])", state="detached")
    page.evaluate(PAINT, code)
    cut = {"x": 0, "y": 0, "width": shot.width, "height": shot.most}
    page.screenshot(
        path=folder / f"{shot.name}.png",
        full_page=True,
        animations="disabled",
        clip=cut if shot.most else None,  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    main()
