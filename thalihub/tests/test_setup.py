"""First start: one link, once, for half an hour, and no open door besides."""

from __future__ import annotations

import datetime
import re
import stat
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from acl import identity
from acl.core import certs, recovery
from acl.core.errors import RefusedError
from acl.models import Principal
from thalihub import datafolder, setup, store

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=30)
CLAIM = store.Claim("Attic", "Ann", "ann", "seven green bottles")
FILLED = {
    "hub_name": "Attic",
    "person": "Ann",
    "username": "ann",
    "password": "seven green bottles",
    "again": "seven green bottles",
}


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.HUB_DATA = tmp_path
    settings.HUB_SETUP_TOKEN = ""


@pytest.fixture
def link():
    """The path of a link that works now."""
    return setup.make_link("https://hub", timezone.now()).removeprefix("https://hub")


@pytest.fixture
def browser():
    return Client(headers={"host": "hub"})


def test_a_link_makes_the_owner_and_is_used_up():
    store.put_link("secret", NOW)
    assert store.claim("secret", CLAIM, NOW).is_superuser
    with pytest.raises(RefusedError, match="has an owner"):
        store.claim("secret", CLAIM, NOW)
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("token", "now", "why"),
    [("other", NOW, "newest"), ("", NOW, "newest"), ("secret", LATER, "expired")],
    ids=["another", "none", "too late"],
)
def test_a_link_that_is_not_good_makes_nobody_owner(token, now, why):
    store.put_link("secret", NOW)
    with pytest.raises(RefusedError, match=why):
        store.claim(token, CLAIM, now)
    assert not User.objects.exists()


def test_a_fresh_link_ends_the_one_before():
    store.put_link("first", NOW)
    store.put_link("second", NOW)
    with pytest.raises(RefusedError):
        store.check_link("first", NOW)
    store.check_link("second", NOW)


@pytest.mark.slow
def test_the_command_prints_a_fresh_link_for_the_hub_that_runs(monkeypatch, tmp_path, browser):
    monkeypatch.setattr("acl.store.is_set_up", lambda: True)
    datafolder.announce(tmp_path, {"pages_port": 5443})
    first, second = (
        re.search(r"https://127\.0\.0\.1:5443(/setup/\S+/)", printed("setup-link"))[1] for _ in "12"
    )
    assert "newest" in browser.get(first, secure=True).content.decode()
    assert browser.get(second, secure=True).context["form"].fields
    store.claim(second.split("/")[2], CLAIM, timezone.now())
    with pytest.raises(CommandError, match="has an owner"):
        printed("setup-link")


def printed(*command):
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_a_hub_that_had_an_owner_never_takes_another():
    store.put_link("secret", NOW)
    store.claim("secret", CLAIM, NOW)
    User.objects.all().delete()
    with pytest.raises(RefusedError):
        store.put_link("again", NOW)


def test_the_token_is_stored_as_a_hash():
    store.put_link("secret", NOW)
    assert "secret" not in store.SetupLink.objects.get().digest


def test_the_link_is_in_a_file_for_the_owner_alone(tmp_path):
    url = setup.make_link("https://hub/", NOW)
    file = tmp_path / "setup-link.txt"
    assert file.read_text() == f"{url}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_environment_presets_the_token(settings):
    settings.HUB_SETUP_TOKEN = "abcdefghij-klmnopqrst"
    assert setup.make_link("https://hub", NOW) == "https://hub/setup/abcdefghij-klmnopqrst/"


@pytest.mark.parametrize("token", ["short", "a/../../bcdefghijklmnop"])
def test_a_preset_that_can_be_guessed_or_is_no_token_is_refused(settings, token):
    settings.HUB_SETUP_TOKEN = token
    with pytest.raises(RefusedError, match="20"):
        setup.make_link("https://hub", NOW)


def test_the_terminal_shows_the_link_and_its_qr_code():
    shown = setup.told("https://hub/setup/x/")
    assert "https://hub/setup/x/" in shown
    assert "█" in shown


def test_the_form_logs_the_owner_in_and_removes_the_file(browser, link, tmp_path):
    answer = browser.post(link, FILLED, secure=True)
    assert answer["location"] == "/admin/setup/recovery/"
    assert browser.get("/admin/setup/recovery/", secure=True).status_code == 200
    assert not (tmp_path / "setup-link.txt").exists()
    assert User.objects.get().first_name == "Ann"
    again = Client(headers={"host": "hub"}).post(link, FILLED, secure=True)
    assert again.status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [{"again": "seven red bottles"}, {"password": "short", "again": "short"}, {"hub_name": ""}],
    ids=["differs", "short", "nameless"],
)
def test_a_form_with_a_fault_makes_nobody_owner(browser, link, wrong):
    answer = browser.post(link, FILLED | wrong, secure=True)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("path", ["/setup/guessed/", "/setup/%00/", "/setup/ü/"])
def test_a_guessed_link_is_refused_with_what_to_do(browser, link, path):
    answer = browser.get(path, secure=True)
    assert answer.status_code == 403
    assert "setup-link" in answer.content.decode()


@pytest.mark.parametrize("page", ["recovery", "storage", "done"])
def test_the_pages_behind_the_login_are_closed_to_others(browser, link, page):
    answer = browser.get(f"/admin/setup/{page}/", secure=True)
    assert answer["location"].startswith("/admin/login/")


PASSPHRASE = "four words and one more"


@pytest.fixture
def earlier():
    """The key of an earlier hub, and its recovery file; this hub is new, and knows nobody."""
    Principal.objects.all().delete()
    key = ec.generate_private_key(ec.SECP256R1())
    file = recovery.encrypted(key, PASSPHRASE, salt=b"s" * 16, iv=b"i" * 16)
    return certs.public_key_hash(key.public_key()), file


def _restore(browser, link, file, passphrase=PASSPHRASE):
    sent = {"restore": "1", "secret": passphrase, "file": SimpleUploadedFile("r.pem", file)}
    return browser.post(link, sent, secure=True, follow=True).content.decode()


@pytest.mark.slow
def test_an_earlier_identity_is_taken_back_before_the_hub_is_claimed(
    browser, link, earlier, tmp_path
):
    key, file = earlier
    before = identity.ensure(tmp_path, NOW)
    assert "Your identity is back" in _restore(browser, link, file)
    ours = identity.load(tmp_path)
    assert (ours.key, ours.device_key) == (key, before.device_key)
    assert Principal.objects.get(kind="owner").key == key
    assert identity.has_identity_key(tmp_path)
    assert identity.ensure(tmp_path, NOW) == ours
    assert browser.post(link, FILLED, secure=True).status_code == 302


@pytest.mark.slow
def test_the_same_identity_is_taken_back_without_harm(browser, link, earlier, tmp_path):
    key, file = earlier
    identity.ensure(tmp_path, NOW)
    for _ in range(2):
        assert "Your identity is back" in _restore(browser, link, file)
    assert identity.load(tmp_path).key == key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "passphrase"),
    [(bytes, "another passphrase"), (lambda file: b"no file", PASSPHRASE),
     (lambda file: file + b"x" * 20_000, PASSPHRASE)],
    ids=["passphrase", "nonsense", "too large"],
)  # fmt: skip
def test_a_file_that_is_not_right_changes_nothing(
    browser, link, earlier, tmp_path, spoil, passphrase
):
    ours = identity.ensure(tmp_path, NOW)
    shown = _restore(browser, link, spoil(earlier[1]), passphrase)
    assert "errornote" in shown or "errorlist" in shown
    assert identity.load(tmp_path) == ours


@pytest.mark.slow
def test_nobody_takes_an_identity_back_without_the_link(browser, link, earlier, tmp_path):
    ours = identity.ensure(tmp_path, NOW)
    answer = browser.post("/setup/another/", {"restore": "1"}, secure=True)
    assert answer.status_code == 403
    _restore(browser, "/setup/another/", earlier[1])
    assert identity.load(tmp_path) == ours
