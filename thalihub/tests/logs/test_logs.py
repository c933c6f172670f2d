"""The log is bounded and says nothing that is anybody's; so does the support bundle."""

from __future__ import annotations

import io
import json
import logging
import threading
import zipfile
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.test import Client

from acl.core.keys import key_text
from thalihub import logs
from thalihub.logs import boundedfile, bundle, redaction
from thalihub.logs.boundedfile import BoundedFile, newest
from thalihub.pages import logpage

KEY = "x" * 40 + "A-_"
SECRETS = {
    "hash": KEY,
    "key": f"sha256:{KEY}",
    "key text": "-".join(["ABCDEF2"] * 8),
    "pem": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0\n-----END PRIVATE KEY-----",
    "half a pem": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg",
    "basic": "Authorization: Basic b3duZXI6c2VjcmV0",
    "bearer": "bearer abcdef.ghi-jkl",
    "cookie": "Cookie: hub_session=abcdefgh",
    "password": 'password="hunter2hunter2"',
    "passphrase": "HUB_PASSPHRASE=correcthorse",
    "url": "https://me:swordfish@db.example/letters",
    "query": "GET /letters/_design/a?key=%22Ann%22&token=abcdef",
    "setup": "https://127.0.0.1:8443/setup/8lCdF7XRBwb9x0d51V81PuN2iIKDYBl/",
    "invitation": "httpkey://h/sha256:x/#s=hhhhhhhhhhhhhhhhhhhhhh&e=1",
    "onion": "a" * 56 + ".onion",
    "token": "t" * 64,
    "row": "duplicate key\nDETAIL:  Key (docid)=(diary) already exists.",
    "document": 'invalid: {"_id": "diary", "text": "Dear diary"} at 3',
}
GONE = {
    "hash": KEY, "key": KEY, "key text": "ABCDEF2", "pem": "MIIEvQ", "half a pem": "MIIEvQ",
    "basic": "b3duZX", "bearer": "abcdef", "cookie": "abcdefgh", "password": "hunter2",
    "passphrase": "correcthorse", "url": "swordfish", "query": "Ann", "setup": "8lCdF7",
    "invitation": "hhhhhh", "onion": "aaaa", "token": "tttt", "row": "diary", "document": "diary",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(SECRETS))
def test_no_secret_passes(kind):
    said = redaction.redacted(f"before {SECRETS[kind]}")
    assert said.startswith("before ")
    assert GONE[kind] not in said


def test_what_is_no_secret_passes():
    said = "The worker process ended with -9; it starts again in 1 s. See https://a.example/b."
    assert redaction.redacted(said) == said
    assert key_text(KEY) != redaction.redacted(key_text(KEY))


def test_names_are_replaced_the_longest_first():
    names = {"Ann": "(person)", "Annabel": "(person 2)", "": "(nobody)"}
    said = redaction.without_names("annabel and Ann met at Annex", names)
    assert said == "(person 2) and (person) met at (person)ex"


def test_a_name_of_letters_with_two_small_forms_is_taken_out_too() -> None:
    assert redaction.without_names("Sam", {"\u017fam": "(person)"}) == "(name)"


def test_a_long_text_is_cut_in_its_middle():
    said = redaction.redacted("begin " + "word " * 9000 + "end")
    assert len(said) < redaction.LONGEST + 50
    assert said.startswith("begin") and said.endswith("end")


def record(text, **more):
    made = logging.LogRecord("hub.test", logging.WARNING, "", 0, text, (), None)
    made.__dict__.update(more)
    return made


def test_a_line_is_json_with_its_request_and_without_secrets():
    request = logs.begin_request()
    said = json.loads(logs.formatter(as_json=True).format(record(f"The key {KEY}")))
    assert (said["event"], said["level"], said["logger"]) == (
        "The key (key)",
        "warning",
        "hub.test",
    )
    assert said["request"] == request
    assert said["timestamp"].endswith("Z")


def test_an_exception_is_told_without_what_it_repeats():
    try:
        raise ValueError(f"cannot take sha256:{KEY}")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    made = record("It failed.", exc_info=info)
    for as_json in (True, False):
        said = logs.formatter(as_json=as_json).format(made)
        assert "ValueError" in said
        assert KEY not in said


def test_the_file_is_bounded_whoever_writes(tmp_path):
    path = tmp_path / "logs" / "hub.log"
    writers = [BoundedFile(path, largest=2_000) for _ in range(3)]

    def write(number):
        for count in range(200):
            writers[number].emit(record(f"{number} {count}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.with_name("hub.log.1").stat().st_size < 2_200
    assert not path.exists() or path.stat().st_size < 2_200
    lines = list(newest(path))
    assert all(len(line.split()) == 2 for line in lines)
    assert b"199" in lines[0] + lines[1] + lines[2]
    for writer in writers:
        writer.close()


def test_a_file_that_cannot_be_written_costs_the_line_only(tmp_path):
    (tmp_path / "logs").write_text("in the way")
    BoundedFile(tmp_path / "logs" / "hub.log").emit(record("lost"))


@pytest.fixture
def browser(api, settings, tmp_path):
    settings.HUB_DATA = tmp_path
    (tmp_path / "logs").mkdir()
    owner = User.objects.create_superuser("logs")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    yield client
    owner.delete()


def written(folder, *texts):
    handler = BoundedFile(folder / "logs" / logs.FILE)
    handler.setFormatter(logs.formatter(as_json=True))
    for level, text in texts:
        made = record(text)
        made.levelno, made.levelname = level, logging.getLevelName(level)
        handler.handle(made)
    handler.close()


def test_the_page_shows_the_level_that_was_chosen(browser, tmp_path):
    written(tmp_path, (20, "Stopped."), (30, "The disk is full."), (40, "It failed."))
    assert [one.event for one in logpage.lines("all")] == [
        "It failed.", "The disk is full.", "Stopped.",
    ]  # fmt: skip
    assert [one.event for one in logpage.lines("warning")] == ["It failed.", "The disk is full."]
    assert [one.event for one in logpage.lines("error")] == ["It failed."]
    assert browser.get("/log/?level=nonsense").status_code == 200


def test_the_support_bundle_has_no_secret_and_no_name(browser, api, tmp_path, new_name):
    friend = api.principal(new_name())
    texts = [(30, text) for text in SECRETS.values()]
    written(tmp_path, *texts, (30, f"A run with {friend.name} failed."))
    for secret in ("identity.key", "secret.key"):
        (tmp_path / secret).write_text("MIIEvQsecret")
    answer = browser.post("/log/bundle/")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        parts = {name: packed.read(name).decode() for name in packed.namelist()}
    assert set(parts) == {"about.json", "doctor.json", "sizes.json", "log.txt"}
    whole = "\n".join(parts.values())
    for forbidden in (*GONE.values(), friend.name, "MIIEvQsecret", str(User.objects.first())):
        assert forbidden not in whole
    assert "A run with (person) failed." in whole


def test_the_names_that_databases_have_in_every_hub_are_no_secret(tables, monkeypatch):
    rows = [SimpleNamespace(name=name) for name in ("addressbook", "diary", "inbox", "me")]
    monkeypatch.setattr(bundle.databases, "everything", lambda _: rows)
    names = [name for name, word in bundle._names(0).items() if word == "(database)"]
    assert names == ["diary"]  # "docu(database)nts" says nothing to anybody.


def test_the_bundle_is_the_owners_alone(browser):
    assert Client(headers={"host": "hub"}).post("/log/bundle/").status_code == 302
    assert browser.get("/log/bundle/").status_code == 405


def test_what_functions_say_is_not_in_the_file():
    handler = logging.Handler()
    handler.addFilter(logs._NoContents())
    said = logging.LogRecord("couchapi.javascript.engine", 20, "", 0, "Dear diary", (), None)
    assert not handler.filter(said)
    assert handler.filter(record("It failed."))


def test_the_bound_is_small():
    assert boundedfile.LARGEST <= 4 * 1024**2
