"""A code is scanned by a camera: Chromium's own, which shows a film of ours."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from discovery.core import invitation
from discovery.core.invitation import Invitation
from thalihub.pages.meeting import drawn
from thalihub.tests.hubprocess import HubProcess
from thalihub.tests.test_pages_browser import FLAGS, open_page
from thalihub.tests.twohubs import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Where the film is to be, before the browser starts."""
    return tmp_path / "film.mjpeg"


@pytest.fixture
def page(hub: HubProcess, film: Path) -> Iterator[Page]:
    login = {"DJANGO_SUPERUSER_USERNAME": "me", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    hub.manage("createsuperuser", "--noinput", DJANGO_SUPERUSER_EMAIL="", **login)
    camera = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*FLAGS, *camera]
        )
        yield open_page(chromium, hub)[0]
        chromium.close()


def test_what_the_camera_sees_is_taken_as_seen(page: Page, hub: HubProcess, film: Path) -> None:
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)  # noqa: TID251
    link = invitation.link(Invitation("A" * 43, ("127.0.0.1:1",), b"s" * 16, expires, "Berta"))
    page.set_viewport_size({"width": 640, "height": 480})
    page.set_content(f"<div style='width: 440px; margin: auto'>{drawn(link)}</div>")
    film.write_bytes(page.screenshot(type="jpeg", quality=95) * 10)
    page.goto(f"{hub.pages_url}/meet/scan/")
    page.click("#camera")
    page.wait_for_selector("main h2:has-text('Berta')")
    # Nobody has to say that they were there.
    assert page.locator("input[type=hidden][name=scanned]").count() == 1
    assert page.locator("input[type=checkbox][name=scanned]").count() == 0
