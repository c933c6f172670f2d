"""An application in a real browser: it asks, the owner allows, its page syncs, and no other's."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Browser, Page, expect

from thalihub.tests.browserpages import ASK, SYNC, browser, origins
from thalihub.tests.hubprocess import HubProcess, Person
from thalihub.tests.test_pages_browser import PASSWORD, open_page, shared_hub

__all__ = ["browser", "origins", "shared_hub"]

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.requires_node]

_LOG_IN = """async ([url, password]) => {
    const body = JSON.stringify({name: 'notes', password});
    const headers = {'content-type': 'application/json'};
    const options = {method: 'POST', credentials: 'include', headers, body};
    return (await fetch(`${url}/_session`, options)).status;
}"""


def _page(browser: Browser, origin: str) -> Page:
    page = browser.new_context(ignore_https_errors=True).new_page()
    page.goto(origin)
    return page


def _allow(browser: Browser, hub: HubProcess, origin: str, name: str) -> str:
    """Let the owner, who is not logged in, follow a link of the page and allow what it asks for."""
    page = _page(browser, origin)
    page.context.grant_permissions(["clipboard-write"])
    url = f"{hub.pages_url}/apps/connect?name={name}&databases={name}&origin={origin}"
    page.evaluate("url => { document.body.innerHTML = `<a href='${url}'>connect</a>`; }", url)
    page.click("text=connect")
    page.get_by_role("link", name="Go on").click()
    page.fill("#id_username", "me")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    expect(page.locator("#who")).to_contain_text(f"“{name}” asks to use this hub")
    page.click("button:has-text('Allow')")
    page.click("text=Copy the token")
    expect(page.locator("[data-copy]")).to_have_text("Copied")
    token = page.locator(".apps-secret").input_value()
    page.context.close()
    return token


@pytest.fixture(scope="module")
def token(browser: Browser, shared_hub: HubProcess, origins: list[str]) -> str:
    """The token of the application `notes`, whose page is the first of the two places."""
    return _allow(browser, shared_hub, origins[0], "notes")


def _auth(token: str) -> dict[str, object]:
    return {"auth": {"username": "notes", "password": token}, "skip_setup": True}


def test_the_page_of_an_allowed_application_syncs_with_its_token(
    browser: Browser, shared_hub: HubProcess, token: str, origins: list[str]
) -> None:
    with shared_hub.client(shared_hub.owner) as owner:
        assert owner.put("/notes/hub", json={}).status_code == 201
        synced = _page(browser, origins[0]).evaluate(
            SYNC, [f"{shared_hub.url}/notes", "mine", _auth(token)]
        )
        assert synced == {"found": ["hub", "mine"]}
        assert owner.get("/notes/mine").json()["text"] == "from the page"


def test_a_page_of_another_origin_gets_nothing_even_with_the_token(
    browser: Browser, shared_hub: HubProcess, token: str, origins: list[str]
) -> None:
    page = _page(browser, origins[1])
    assert "error" in page.evaluate(SYNC, [f"{shared_hub.url}/notes", "evil", _auth(token)])
    assert page.evaluate(_LOG_IN.replace("return (await", "try { return (await").replace(
        ".status;", ".status; } catch { return 'refused'; }"), [shared_hub.url, token]
    ) == "refused"  # fmt: skip
    with shared_hub.client(shared_hub.owner) as owner:
        assert owner.get("/notes/evil").status_code == 404


def test_a_session_serves_the_page_that_began_it_and_no_other(
    browser: Browser, shared_hub: HubProcess, token: str, origins: list[str]
) -> None:
    page = _page(browser, origins[0])
    assert page.evaluate(ASK, [f"{shared_hub.url}/notes", {}]) == ["cors", 401]
    assert page.evaluate(_LOG_IN, [shared_hub.url, token]) == 200
    assert page.evaluate("document.cookie") == ""
    options = {"skip_setup": True}
    synced = page.evaluate(SYNC, [f"{shared_hub.url}/notes", "by-session", options])
    assert "by-session" in synced["found"]
    other = page.context.new_page()
    other.goto(origins[1])
    assert other.evaluate(ASK, [f"{shared_hub.url}/notes", {}]) == ["refused", 0]
    blind = {"method": "POST", "mode": "no-cors", "body": '{"_id":"evil"}'}
    assert other.evaluate(ASK, [f"{shared_hub.url}/notes", blind]) == ["opaque", 0]
    assert page.evaluate(ASK, [f"{shared_hub.url}/_session", {"method": "DELETE"}]) == ["cors", 200]
    assert page.evaluate(ASK, [f"{shared_hub.url}/notes", {}]) == ["cors", 401]
    with shared_hub.client(shared_hub.owner) as owner:
        assert owner.get("/notes/evil").status_code == 404


def test_what_the_owner_revokes_on_the_page_is_over(
    browser: Browser, shared_hub: HubProcess, origins: list[str]
) -> None:
    token = _allow(browser, shared_hub, origins[0], "photos")
    app = _page(browser, origins[0])
    headers = {"headers": {"authorization": f"Bearer {token}"}}
    assert app.evaluate(ASK, [f"{shared_hub.url}/photos", headers]) == ["cors", 200]
    page, complaints = open_page(browser, shared_hub)
    page.goto(f"{shared_hub.pages_url}/apps/")
    card = page.locator(".hub-card", has=page.locator("h2", has_text="photos"))
    expect(card).not_to_contain_text("Not yet")
    card.locator("summary", has_text="Revoke").click()
    card.locator("button", has_text="Revoke photos").click()
    page.wait_for_selector(".messagelist .success")
    assert app.evaluate(ASK, [f"{shared_hub.url}/photos", headers]) == ["cors", 401]
    assert complaints == []


def _connect(page: Page, hub: HubProcess, name: str, way: str) -> None:
    page.goto(f"{hub.pages_url}/apps/connect?name={name}&databases=shelf")
    page.click(f"text={way}")


def _saved(page: Page, link: str, path: Path) -> Path:
    with page.expect_download() as saved:
        page.click(f"text={link}")
    saved.value.save_as(path)
    return path


def test_the_key_that_the_page_gives_opens_the_hub(
    browser: Browser, shared_hub: HubProcess, tmp_path: Path
) -> None:
    page, _ = open_page(browser, shared_hub)
    _connect(page, shared_hub, "Shelf", "A key and certificate")
    page.click("button:has-text('Allow')")
    file = _saved(page, "For a program (PEM)", tmp_path / "shelf.pem")
    with shared_hub.client(Person("Shelf", file, file)) as client:
        assert client.put("/shelf/by-key", json={}).status_code == 201
        assert client.get("/letters").status_code == 404


@pytest.mark.parametrize("pasted", [True, False], ids=["pasted", "as a file"])
def test_an_application_may_keep_its_key_to_itself(
    browser: Browser, shared_hub: HubProcess, tmp_path: Path, pasted: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    text, private, file = request.public_bytes(Encoding.PEM), tmp_path / "key", tmp_path / "csr"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.write_bytes(text)
    page, _ = open_page(browser, shared_hub)
    _connect(page, shared_hub, f"Own {pasted}", "A key of its own")
    if pasted:
        page.fill("#id_request", text.decode())
    else:
        page.set_input_files("#id_request_file", file)
    page.click("button:has-text('Allow')")
    certificate = _saved(page, "Its certificate (PEM)", tmp_path / "own.crt")
    with shared_hub.client(Person("Own", certificate, private)) as client:
        assert client.put(f"/shelf/own-{pasted}", json={}).status_code == 201


@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_fit_and_complain_of_nothing(
    browser: Browser, shared_hub: HubProcess, width: int
) -> None:
    page, complaints = open_page(browser, shared_hub, width)
    asked = "/apps/connect?name=Wide&databases=a-very-long-name-of-a-database-indeed:rwa,b:r"
    for path in ("/apps/", "/apps/connect", asked):
        page.goto(shared_hub.pages_url + path)
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.fill("#id_name", f"Files {width}")
    page.click("text=A key and certificate")
    page.click("button:has-text('Allow')")
    with page.expect_download() as saved:
        page.click("text=(PKCS#12)")
    assert saved.value.suggested_filename == f"Files {width}.p12"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
