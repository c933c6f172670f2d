"""The command line: what it makes, what it prints, and how it refuses."""

from __future__ import annotations

import datetime
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
    pkcs12,
)
from django.conf import settings
from django.core.management import CommandError, call_command

from acl import identity, store
from acl.core import certs
from acl.core.certs import public_key_hash
from acl.core.keys import key_text
from acl.models import Principal
from acl.tests.conftest import key

SOURCE = Path(__file__).resolve().parents[2]
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
PASSPHRASE = "correct horse battery"

pytestmark = pytest.mark.usefixtures("acls", "data")


@pytest.fixture
def data(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, and no passphrase."""
    monkeypatch.delenv("HUB_PASSPHRASE", raising=False)
    settings.HUB_DATA = tmp_path / "data"
    return tmp_path / "data"


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 1
    return str(error.value)


# -- principal add


def test_a_new_key_has_a_certificate_and_a_p12(tmp_path: Path) -> None:
    run("principal", "add", "anna", "--new-key", str(tmp_path / "keys"))
    files = {path.suffix: path for path in (tmp_path / "keys").iterdir()}
    assert set(files) == {".key", ".crt", ".p12"}
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    private = load_pem_private_key(files[".key"].read_bytes(), None)
    certificate = x509.load_pem_x509_certificate(files[".crt"].read_bytes())
    named = public_key_hash(private.public_key())  # type: ignore[arg-type]
    assert certs.verified_keys(certificate.public_bytes(Encoding.DER), []) == [named]
    assert store.find_principal("anna").key == named
    bundle = pkcs12.load_pkcs12(files[".p12"].read_bytes(), None)
    assert bundle.cert is not None
    assert bundle.cert.certificate == certificate


def test_a_passphrase_seals_the_p12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PASSPHRASE", "secret")
    run("principal", "add", "anna", "--new-key", str(tmp_path))
    sealed = (tmp_path / "anna.p12").read_bytes()
    assert pkcs12.load_pkcs12(sealed, b"secret").key
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(sealed, None)


@pytest.mark.parametrize("ending", ["key", "crt", "p12"])
def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"anna.{ending}").write_text("mine")
    assert "overwritten" in refused("principal", "add", "anna", "--new-key", str(tmp_path))
    assert (tmp_path / f"anna.{ending}").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [f"anna.{ending}"]
    assert not Principal.objects.exists()


def test_a_name_that_is_taken_leaves_no_files(tmp_path: Path) -> None:
    store.add_principal("anna", key("anna"))
    assert "taken" in refused("principal", "add", "anna", "--new-key", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["friend", "device"])
@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_leaves_no_principal(
    tmp_path: Path, folder: str, kind: str
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ("anna", "--kind", kind, "--new-key", str(tmp_path / folder))
    assert "cannot be written" in refused("principal", "add", *arguments)
    assert not Principal.objects.exists()


def test_a_name_too_long_for_the_disk_leaves_nothing(tmp_path: Path) -> None:
    name = "\N{GRINNING FACE}" * 64
    assert "cannot be written" in refused("principal", "add", name, "--new-key", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert not Principal.objects.exists()


def test_a_name_taken_in_the_meantime_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_principal("anna", key("anna"))
    monkeypatch.setattr(store, "check_free", lambda name: None)
    assert "taken" in refused("principal", "add", "anna", "--new-key", str(tmp_path / "keys"))
    assert list((tmp_path / "keys").iterdir()) == []


@pytest.mark.parametrize("name", ["../anna", "a/b", ""])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "keys").mkdir()
    refused("principal", "add", name, "--new-key", str(tmp_path / "keys"))
    assert [path.name for path in tmp_path.rglob("*")] == ["keys"]


def test_a_certificate_is_taken_as_pem_or_der(tmp_path: Path) -> None:
    run("principal", "add", "anna", "--new-key", str(tmp_path))
    certificate = x509.load_pem_x509_certificate((tmp_path / "anna.crt").read_bytes())
    (tmp_path / "anna.der").write_bytes(certificate.public_bytes(Encoding.DER))
    for name in ("anna.crt", "anna.der"):
        run("principal", "remove", "anna")
        run("principal", "add", "anna", "--cert", str(tmp_path / name))
        assert store.find_principal("anna").key == certs.key_of(certificate)


@pytest.mark.parametrize("content", [b"", b"no", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert "certificate" in refused("principal", "add", "anna", "--cert", str(tmp_path / "file"))
    assert "cannot be read" in refused("principal", "add", "anna", "--cert", str(tmp_path / "none"))


def test_a_certificate_of_our_own_identity_is_refused(data: Path) -> None:
    identity.ensure(data, NOW)
    Principal.objects.filter(kind="device").delete()
    text = refused("principal", "add", "app", "--cert", str(data / "owner.crt"))
    assert "device of yours" in text


@pytest.mark.parametrize("text", [f"sha256:{key('anna')}", key_text(key("anna"))])
def test_a_key_is_taken_in_either_spelling(text: str) -> None:
    run("principal", "add", "anna", "--key", text, "--kind", "application")
    found = store.find_principal("anna")
    assert (found.key, found.kind) == (key("anna"), "application")


def test_a_wrong_key_is_refused_with_its_reason() -> None:
    assert "43 characters" in refused("principal", "add", "anna", "--key", "sha256:x")
    right = key_text(key("anna"))
    typo = ("C" if right[0] == "A" else "A") + right[1:]
    assert "typing error" in refused("principal", "add", "anna", "--key", typo)


# -- principal list, remove, allow


def test_the_list_is_json_on_request() -> None:
    store.add_principal("anna", key("anna"))
    run("principal", "allow", "anna", "create-databases")
    run("principal", "allow", "anna", "origin", "https://app.example")
    assert json.loads(run("principal", "list", "--json")) == [
        {
            "name": "anna",
            "kind": "friend",
            "key": f"sha256:{key('anna')}",
            "key_text": key_text(key("anna")),
            "may_create_databases": True,
            "revoked": False,
            "origins": ["https://app.example"],
        }
    ]
    told = run("principal", "list")
    assert f"sha256:{key('anna')}  makes databases, https://app.example" in told


def test_an_empty_list_says_what_to_do() -> None:
    assert "principal add" in run("principal", "list")
    assert json.loads(run("principal", "list", "--json")) == []
    assert "group add" in run("group", "list")


def test_what_was_allowed_is_taken_back() -> None:
    store.add_principal("anna", key("anna"))
    for word, allowed in (("allow", True), ("disallow", False)):
        run("principal", word, "anna", "create-databases")
        run("principal", word, "anna", "origin", "https://app.example")
        assert store.find_principal("anna").may_create_databases is allowed
        assert bool(store.origins_by_principal()) is allowed
    assert "not allowed" in refused(
        "principal", "disallow", "anna", "origin", "https://app.example"
    )
    assert "looks like" in refused("principal", "allow", "anna", "origin", "app.example/x")


def test_removing_says_what_became_of_it(data: Path) -> None:
    store.add_principal("anna", key("anna"))
    assert "Removed anna" in run("principal", "remove", "anna")
    identity.ensure(data, NOW)
    assert "Revoked" in run("principal", "remove", "this device")
    assert "cannot be removed" in refused("principal", "remove", "owner")
    assert "principal list" in refused("principal", "remove", "nobody")


# -- group


def test_groups_are_made_filled_listed_emptied_and_deleted() -> None:
    store.add_principal("anna", key("anna"))
    run("group", "add", "family")
    run("group", "add", "all")
    run("group", "member", "family", "anna")
    run("group", "member", "all", "family")
    assert run("group", "list") == "all: family\nfamily: anna\n"
    assert json.loads(run("group", "list", "--json")) == [
        {"name": "all", "members": ["family"]},
        {"name": "family", "members": ["anna"]},
    ]
    run("group", "unmember", "all", "family")
    run("group", "remove", "family")
    assert run("group", "list") == "all: nobody\n"


def test_a_name_that_is_no_text_is_refused() -> None:
    for arguments in (("principal", "remove", "\udcff"), ("group", "add", "\udcff")):
        assert "name" in refused(*arguments)


def test_groups_refuse_in_whole_sentences() -> None:
    run("group", "add", "family")
    assert "taken" in refused("group", "add", "family")
    assert "no group" in refused("group", "remove", "none")
    assert "Nobody is called" in refused("group", "member", "family", "none")
    store.add_principal("anna", key("anna"))
    assert "no group" in refused("group", "member", "none", "anna")
    assert "not in the group" in refused("group", "unmember", "family", "anna")


# -- identity


def test_identity_shows_the_keys(data: Path) -> None:
    ours = identity.ensure(data, NOW)
    shown = json.loads(run("identity", "show", "--json"))
    assert shown["key"] == f"sha256:{ours.key}"
    assert shown["device_key"] == f"sha256:{ours.device_key}"
    assert shown["key_text"] == key_text(ours.key)
    assert key_text(ours.key) in run("identity", "show")


def test_there_is_nothing_to_show_before_the_first_start(data: Path) -> None:
    assert "Start the hub" in refused("identity", "show")
    assert "Start the hub" in refused("identity", "export", str(data / "file"))


@pytest.mark.slow
def test_an_identity_goes_to_another_hub_by_its_file(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = identity.ensure(settings.HUB_DATA, NOW)
    monkeypatch.setenv("HUB_PASSPHRASE", PASSPHRASE)
    path = tmp_path / "recovery.pem"
    run("identity", "export", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    settings.HUB_DATA = tmp_path / "new"
    assert key_text(ours.key) in run("identity", "import", str(path))
    assert identity.load(tmp_path / "new").key == ours.key


def test_a_recovery_file_is_not_written_over_another(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.ensure(data, NOW)
    monkeypatch.setenv("HUB_PASSPHRASE", PASSPHRASE)
    (tmp_path / "file").write_text("mine")
    assert "exists already" in refused("identity", "export", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    assert "cannot be written" in refused("identity", "export", str(tmp_path / "no" / "file"))
    assert "cannot be read" in refused("identity", "import", str(tmp_path / "none"))


def test_a_passphrase_is_never_guessed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.ensure(data, NOW)
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    assert "HUB_PASSPHRASE" in refused("identity", "export", str(tmp_path / "file"))
    monkeypatch.setenv("HUB_PASSPHRASE", "short")
    assert "12 characters" in refused("identity", "export", str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


# -- as a process: exit codes, and nothing on the wrong stream


def _process(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"HUB_DATA": str(data), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, str(SOURCE / "manage.py"), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["principal", "group", "identity"])
def test_a_command_that_is_not_understood_ends_with_2(data: Path, command: str) -> None:
    for arguments in ((), ("nonsense",)):
        done = _process(data, command, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage:" in done.stderr
    assert _process(data, command, "--help").returncode == 0


@pytest.mark.slow
def test_without_tables_a_command_says_what_to_do_and_ends_with_1(data: Path) -> None:
    for arguments in (("principal", "list"), ("group", "add", "x"), ("identity", "show")):
        done = _process(data, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "tart the hub" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_identity_is_imported_before_there_are_tables(tmp_path: Path, data: Path) -> None:
    ours = identity.ensure(settings.HUB_DATA, NOW)
    (tmp_path / "file").write_bytes(identity.export(data, PASSPHRASE))
    environment = {"HUB_DATA": str(tmp_path / "new"), "HUB_PASSPHRASE": PASSPHRASE}
    done = subprocess.run(
        [sys.executable, str(SOURCE / "manage.py"), "identity", "import", str(tmp_path / "file")],
        env=environment | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert identity.load(tmp_path / "new").key == ours.key
