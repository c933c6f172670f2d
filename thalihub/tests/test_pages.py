"""The pages on their own port: Django's admin behind a login, over TLS."""

import re

import httpx
import pytest

pytestmark = pytest.mark.slow
PASSWORD = "correct horse battery staple"


@pytest.fixture
def browser(hub):
    """A browser without a client certificate."""
    with httpx.Client(base_url=hub.pages_url, verify=hub.context(), trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def login(hub):
    """The name of an owner who may log in."""
    hub.manage(
        *("createsuperuser", "--noinput", "--username", "owner", "--email", "owner@example.org"),
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )
    return "owner"


def _log_in(browser, name, password):
    page = browser.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    return browser.post(
        "/admin/login/?next=/admin/",
        data={"username": name, "password": password, "csrfmiddlewaretoken": token},
        headers={"Referer": str(browser.base_url)},
    )


def test_start_page_leads_to_the_login(browser):
    page = browser.get("/", follow_redirects=True)
    assert page.url.path == "/admin/login/"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_owner_logs_in(browser, login):
    assert _log_in(browser, login, PASSWORD).headers["location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_a_session_is_the_browsers_alone_and_ends(browser, login):
    answer = _log_in(browser, login, PASSWORD)
    (cookie,) = [one for one in answer.headers.get_list("set-cookie") if "hub_session_" in one]
    flags = {part.strip() for part in cookie.split(";")[1:]}
    # Without an age it is forgotten with the browser's window.
    assert flags == {"HttpOnly", "Path=/", "SameSite=Strict", "Secure"}
    kept = dict(browser.cookies)
    page = browser.get("/admin/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    fields = {"csrfmiddlewaretoken": token}
    browser.post("/admin/logout/", data=fields, headers={"Referer": str(browser.base_url)})
    browser.cookies.update(kept)
    assert browser.get("/admin/").status_code == 302


def test_wrong_password_stays_outside(browser, login):
    assert _log_in(browser, login, "wrong").status_code == 200
    assert browser.get("/admin/").status_code == 302


def test_login_without_the_forms_token_is_refused(browser, login):
    answer = browser.post("/admin/login/", data={"username": login, "password": PASSWORD})
    assert answer.status_code == 403


def test_style_sheets_are_served(browser):
    sheet = browser.get("/static/admin/css/base.css")
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, 'text/css; charset="utf-8"')


def test_pages_do_not_serve_the_api(browser):
    assert browser.get("/_all_dbs").status_code == 404
