"""Connecting applications: what is made, what is shown once, and what is refused."""

from __future__ import annotations

import datetime
import io
import json
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from acl import sql, store
from acl.core import certs, tokens
from acl.core.errors import HubError
from acl.models import ApplicationToken
from acl.store import Rights
from couchapi.store import databases
from thalihub import applications
from thalihub.applications import Wanted

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


@pytest.fixture
def name(new_name, api):
    """A name that no application has."""
    made = f"App {new_name()}"
    yield made
    for one in store.list_applications():
        if one.principal.name == made:
            store.remove_principal(made)


@pytest.fixture
def browser(api):
    """The owner's browser, logged in."""
    owner = User.objects.create_superuser("applications")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()  # The tables are shared, and a hub with a login has an owner.


def application(name):
    """What the hub knows of the application."""
    [found] = [one for one in store.list_applications() if one.principal.name == name]
    return found


def fields(name, db_name, **more):
    """What the page of connecting sends."""
    return {
        "name": name,
        "origins": "",
        "way": "token",
        "days": "",
        "db-TOTAL_FORMS": "1",
        "db-INITIAL_FORMS": "0",
        "db-0-db_name": db_name,
        "db-0-read": "on",
        **more,
    }


def send(browser, name, db_name, **more):
    return browser.post(reverse("connect"), fields(name, db_name, **more), secure=True)


def request_of(key):
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


# -- the verbs -------------------------------------------------------------------------------------


def test_a_token_is_kept_as_a_hash_until_it_ends(name, new_name):
    db_name = new_name()
    token = applications.add_with_token(Wanted(name, [Rights(db_name)]), NOW, 30)
    assert tokens.stands_in(token.encode())
    row = ApplicationToken.objects.get(principal__name=name)
    assert row.digest == tokens.digest_of(token)
    assert row.expires_at == row.made_at + 30 * 24 * 3600
    assert db_name in sql.read_sync(databases.names)


def test_two_tokens_have_nothing_in_common(name, new_name):
    first = applications.add_with_token(Wanted(name, [Rights(new_name())]), NOW, None)
    second = applications.new_token(name, NOW, None)
    assert len(set(first[6:]) | set(second[6:])) > 20
    assert first != second
    assert application(name).token.digest == tokens.digest_of(second)


@pytest.mark.parametrize("days", [0, -1, 4000, 10**12])
def test_a_lifetime_that_means_nothing_is_refused_and_nothing_is_made(name, new_name, days):
    db_name = new_name()
    with pytest.raises(HubError, match="from one day to ten years"):
        applications.add_with_token(Wanted(name, [Rights(db_name)]), NOW, days)
    assert db_name not in sql.read_sync(databases.names)


def test_a_database_that_is_here_stays_as_it_is(name, database):
    before = sql.read_sync(databases.everything)
    applications.add_with_token(Wanted(name, [Rights(database[1:], write=False)]), NOW, None)
    assert sql.read_sync(databases.everything) == before
    [grant] = application(name).grants
    assert (grant.database, grant.read, grant.write) == (database[1:], True, False)


def test_a_key_that_was_made_is_in_both_files(name, new_name):
    made = applications.add_with_key(Wanted(name, [Rights(new_name())]))
    _key, certificate, _ = pkcs12.load_key_and_certificates(made.pkcs12, made.passphrase.encode())
    assert certs.key_of(certificate) == application(name).principal.key
    assert certificate == x509.load_pem_x509_certificate(made.pem)
    assert re.fullmatch(r"([a-z2-7]{5}-){3}[a-z2-7]{5}", made.passphrase)


def test_the_certificate_of_a_request_is_for_its_key_and_not_from_ours(name, new_name):
    key = ec.generate_private_key(ec.SECP256R1())
    wanted = Wanted(name, [Rights(new_name())])
    pem = applications.add_with_request(wanted, request_of(key), NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certs.key_of(certificate) == application(name).principal.key
    ours = [one.key for one in store.list_principals() if one.kind in ("owner", "device")]
    assert len(ours) >= 2
    issuer = certificate.issuer.rfc4514_string().removeprefix("CN=")
    assert not any(key.startswith(issuer) for key in ours)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("owner", [Rights("good")]),
        Wanted("Good", []),
        Wanted("Good", [Rights("Bad")]),
        Wanted("Good", [Rights("_users")]),
        Wanted("Good", [Rights("addressbook")]),
        Wanted("Good", [Rights("good", read=False, write=False)]),
        Wanted("Good", [Rights("good")], origins=["nonsense"]),
        Wanted("Good", [Rights(f"good{number}") for number in range(21)]),
    ],
    ids=["owner", "nothing", "capital", "system", "addressbook", "no right", "origin", "too many"],
)
def test_what_cannot_be_is_refused_before_anything_is_made(api, wanted):
    before = sql.read_sync(databases.names)
    with pytest.raises(HubError):
        applications.add_with_token(wanted, NOW, None)
    assert sql.read_sync(databases.names) == before
    assert "Good" not in [one.principal.name for one in store.list_applications()]


def test_a_key_of_our_own_is_refused(name, new_name, api):
    taken = application_with_key(new_name)
    with pytest.raises(HubError, match="known already"):
        applications.add_with_request(Wanted(name, [Rights(new_name())]), request_of(taken), NOW)


def application_with_key(new_name):
    key = ec.generate_private_key(ec.SECP256R1())
    store.add_principal(f"Device {new_name()}", certs.public_key_hash(key.public_key()), "device")
    return key


@pytest.mark.parametrize(
    ("text", "rights"),
    [
        ("notes", Rights("notes", True, True, False)),
        ("notes:r", Rights("notes", True, False, False)),
        ("notes:wr", Rights("notes", True, True, False)),
        ("notes:rwa", Rights("notes", True, True, True)),
    ],
)
def test_rights_are_written_as_letters(text, rights):
    assert applications.parse_rights(text) == rights


@pytest.mark.parametrize("text", ["notes:", "notes:x", "notes:r:w"])
def test_other_letters_are_no_rights(text):
    with pytest.raises(HubError):
        applications.parse_rights(text)


# -- the command -----------------------------------------------------------------------------------


def run(*arguments):
    out = io.StringIO()
    call_command("application", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_connects_lists_and_revokes(name, new_name):
    db_name = new_name()
    origin = "https://command.example"
    asked = ["--database", f"{db_name}:rw", "--origin", origin, "--create-databases", "--days", "5"]
    token = json.loads(run("add", name, *asked, "--json"))["token"]
    assert application(name).token.digest == tokens.digest_of(token)
    assert application(name).principal.may_create_databases
    [row] = [one for one in json.loads(run("list", "--json")) if one["name"] == name]
    assert (row["databases"], row["origins"]) == ([f"{db_name}:rw"], [origin])
    assert row["last_used"] is None
    assert f"{db_name}:rw" in run("list")
    assert tokens.stands_in(run("token", name).encode())
    run("revoke", name)
    assert "revoked" in run("list")
    run("allow", name)
    assert not application(name).principal.revoked


def test_the_command_refuses_in_words(name, new_name):
    for arguments in (
        ["add", name, "--database", f"{new_name()}:x"],
        ["add", name],
        ["token", "owner"],
        ["revoke", "nobody of this name"],
    ):
        with pytest.raises(CommandError):
            run(*arguments)


# -- the pages -------------------------------------------------------------------------------------


def test_a_stranger_comes_to_the_login_and_nothing_is_made(api, name, new_name):
    stranger = Client(headers={"host": "hub"})
    db_name = new_name()
    for answer in (
        stranger.get(reverse("connect"), {"name": name}, secure=True),
        stranger.post(reverse("connect"), fields(name, db_name), secure=True),
        stranger.get(reverse("applications"), secure=True),
    ):
        assert answer["location"].startswith("/admin/login/")
    assert db_name not in sql.read_sync(databases.names)


def test_a_link_of_another_site_is_asked_to_go_on_first(api):
    """A browser keeps the login from links of other sites, so everybody looks like a stranger."""
    stranger = Client(headers={"host": "hub", "sec-fetch-site": "cross-site"})
    answer = stranger.get(reverse("connect"), {"name": "<b>Evil"}, secure=True)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert 'href="/apps/connect?name=%3Cb%3EEvil"' in html
    assert "<form" not in html.partition("<main")[2].partition("</main>")[0]


def test_a_request_is_shown_in_plain_words_and_gives_nothing(browser, database, new_name):
    other = new_name()
    before = len(store.list_applications())
    query = {
        "name": "<i>Notes",
        "databases": f"{database[1:]}:r,{other}",
        "origin": "https://a.example",
    }
    html = browser.get(reverse("connect"), query, secure=True).content.decode()
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    assert "“&lt;i&gt;Notes” asks to use this hub" in html
    assert f"read {database[1:]} which is here already" in shown
    assert f"read and write {other} which will be made" in shown
    assert "https://a.example" in html
    assert len(store.list_applications()) == before
    assert other not in sql.read_sync(databases.names)


def test_whatever_a_link_says_the_page_is_there(browser):
    queries = (
        "name=" + "x" * 5000,
        "databases=" + ",".join(f"d{n}" for n in range(500)),
        "databases=%00,Bad!,x:q,:::&origin=%FF&way=none&create=maybe",
        "name=a&name=b&databases=a&databases=b",
    )
    for query in queries:
        answer = browser.get(f"{reverse('connect')}?{query}", secure=True)
        assert answer.status_code == 200


def test_what_the_owner_allows_is_made_and_shown_once(browser, name, new_name):
    db_name = new_name()
    answer = send(browser, name, db_name, origins="https://a.example\nhttps://b.example")
    [token] = re.findall(r"thali_[A-Za-z0-9_-]{43}", answer.content.decode())
    assert "no-store" in answer["cache-control"]
    made = application(name)
    assert made.token.digest == tokens.digest_of(token)
    assert made.origins == ["https://a.example", "https://b.example"]
    assert [(one.database, one.read, one.write) for one in made.grants] == [(db_name, True, False)]
    again = send(browser, name, db_name)
    assert "taken" in again.content.decode()
    assert application(name).token.digest == tokens.digest_of(token)
    assert token not in browser.get(reverse("applications"), secure=True).content.decode()


def test_what_the_owner_refuses_is_not_made(browser, name, new_name):
    db_name = new_name()
    assert send(browser, name, db_name, refuse="1")["location"] == reverse("applications")
    assert db_name not in sql.read_sync(databases.names)


def test_a_form_of_another_site_allows_nothing(api, name, new_name):
    owner = User.objects.create_superuser("careful")
    client = Client(headers={"host": "hub"}, enforce_csrf_checks=True)
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    assert send(client, name, new_name()).status_code == 403
    owner.delete()


def test_the_files_of_a_key_are_in_the_page_alone(browser, name, new_name):
    html = send(browser, name, new_name(), way="key").content.decode()
    assert html.count('href="data:application/octet-stream;base64,') == 2
    assert f'download="{name}.p12"' in html
    assert application(name).token is None


def test_a_request_may_be_pasted_or_sent_as_a_file(browser, name, new_name):
    empty = send(browser, name, new_name(), way="request").content.decode()
    assert "Paste the request" in empty
    wrong = send(browser, name, new_name(), way="request", request="-----BEGIN X-----")
    assert "not a certificate request" in wrong.content.decode()
    key = ec.generate_private_key(ec.SECP256R1())
    right = send(browser, name, new_name(), way="request", request=request_of(key).decode())
    assert f'download="{name}.crt"' in right.content.decode()
    assert application(name).principal.key == certs.public_key_hash(key.public_key())


def test_the_list_gives_new_tokens_revokes_and_forgets(browser, name, new_name):
    applications.add_with_token(Wanted(name, [Rights(new_name())]), NOW, 1)
    where = reverse("applications")
    assert "Token ended" in browser.get(where, secure=True).content.decode()
    made = browser.post(where, {"name": name, "token": "1", "days": "30"}, secure=True)
    assert len(re.findall(r"thali_[A-Za-z0-9_-]{43}", made.content.decode())) == 1
    browser.post(where, {"name": name, "revoke": "1"}, secure=True)
    assert application(name).principal.revoked
    refused = browser.post(where, {"name": name, "token": "1"}, secure=True)
    assert refused["location"] == where
    assert application(name).token.expires_at <= datetime.datetime.now(datetime.UTC).timestamp()
    browser.post(where, {"name": name, "restore": "1"}, secure=True)
    assert not application(name).principal.revoked
    browser.post(where, {"name": name, "forget": "1"}, secure=True)
    assert name not in [one.principal.name for one in store.list_applications()]


@pytest.mark.parametrize("what", ["token", "revoke", "restore", "forget"])
def test_the_list_of_applications_touches_nobody_else(browser, api, what):
    friend = api.principal("Bob").name
    browser.post(reverse("applications"), {"name": friend, what: "1"}, secure=True)
    still = store.find_principal(friend)
    assert not still.revoked
    assert not ApplicationToken.objects.filter(principal=still).exists()
    store.remove_principal(friend)
