"""Two people with a hub and a browser each, for tests of meeting: every click is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from thalihub.tests.hubprocess import HubProcess

PASSWORD = "seven green bottles"


class Person:
    """Somebody in front of the pages of their own hub."""

    def __init__(self, name: str, hub: HubProcess, page: Page) -> None:
        self.name, self.hub, self.page = name, hub, page
        self.clicks = 0
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str) -> None:
        """Type an address."""
        self.page.goto(self.hub.pages_url + path)

    def press(self, text: str) -> None:
        """Click the button or link of this text."""
        self.clicks += 1
        words = f":text-is({json.dumps(text)})"
        self.page.click(f"main button{words}, main a{words}, nav a{words}")

    def sees(self, text: str) -> None:
        """Wait until the page says this."""
        self.page.wait_for_selector(f"main :text({json.dumps(text)})")

    def set_up(self) -> None:
        """Claim the hub by the link that it has printed, and skip what can be done later."""
        self.page.goto((self.hub.data / "setup-link.txt").read_text().strip())
        filled = {"hub_name": f"Hub of {self.name}", "person": self.name, "username": "me"}
        for field, value in {**filled, "password": PASSWORD, "again": PASSWORD}.items():
            self.page.fill(f"#id_{field}", value)
        self.press("This hub is mine")
        self.page.wait_for_url("**/admin/setup/recovery/")


@contextmanager
def person(browser: Browser, folder: Path, name: str, **environment: str) -> Iterator[Person]:
    """Start a hub on an empty data folder, and open a browser for its owner."""
    with HubProcess(folder / name, **environment) as hub:
        context = browser.new_context(ignore_https_errors=True)
        try:
            yield Person(name, hub, context.new_page())
        finally:
            context.close()
