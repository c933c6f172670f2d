"""Our keys on disk: made once, made whole, and recovered from a file."""

from __future__ import annotations

import datetime
import multiprocessing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from acl import identity
from acl.core import certs
from acl.core.errors import AlreadyThere, KeyFormatError, RefusedError
from acl.models import Principal

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
PASSPHRASE = "correct horse battery"
FILES = ("identity.key", "identity.crt", "device.key", "device.crt", "owner.key", "owner.crt")

pytestmark = pytest.mark.usefixtures("acls")


def _contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def _another_hub(folder: Path) -> identity.Identity:
    """Make a hub of another identity, as if it had tables of its own."""
    kept = list(Principal.objects.all())
    Principal.objects.all().delete()
    ours = identity.ensure(folder, NOW)
    Principal.objects.all().delete()
    Principal.objects.bulk_create(kept)
    return ours


def _chain(path: Path) -> list[bytes]:
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return [one.public_bytes(Encoding.DER) for one in found]


@pytest.mark.parametrize("name", ["device", "owner"])
def test_device_and_owner_show_a_chain_to_the_identity(tmp_path: Path, name: str) -> None:
    ours = identity.ensure(tmp_path, NOW)
    leaf, *others = _chain(tmp_path / f"{name}.crt")
    own = ours.device_key if name == "device" else ours.owner_key
    assert certs.verified_keys(leaf, others) == [own, ours.key]
    key = load_pem_private_key((tmp_path / f"{name}.key").read_bytes(), None)
    assert certs.public_key_hash(key.public_key()) == own  # type: ignore[arg-type]


def test_all_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    identity.ensure(folder, NOW)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {(folder / name).stat().st_mode & 0o777 for name in FILES} == {0o600}
    assert not list(folder.glob(".*"))


def test_the_second_start_changes_nothing(tmp_path: Path) -> None:
    first = identity.ensure(tmp_path, NOW)
    before = _contents(tmp_path)
    assert identity.ensure(tmp_path, NOW + datetime.timedelta(days=400)) == first
    assert _contents(tmp_path) == before
    assert identity.load(tmp_path) == first


def test_our_keys_are_noted_as_the_owners_own(tmp_path: Path) -> None:
    ours = identity.ensure(tmp_path, NOW)
    noted = {one.key: one.kind for one in Principal.objects.all()}
    assert noted == {ours.key: "owner", ours.device_key: "device", ours.owner_key: "device"}


@pytest.mark.parametrize("missing", FILES[1:])
def test_a_hub_that_died_halfway_keeps_its_identity(tmp_path: Path, missing: str) -> None:
    before = identity.ensure(tmp_path, NOW)
    (tmp_path / missing).unlink()
    after = identity.ensure(tmp_path, NOW)
    assert after.key == before.key
    for name in ("device", "owner"):
        leaf, *others = _chain(tmp_path / f"{name}.crt")
        assert certs.verified_keys(leaf, others)[1] == before.key


def test_an_identity_key_that_was_lost_is_never_made_anew(tmp_path: Path) -> None:
    identity.ensure(tmp_path, NOW)
    (tmp_path / "identity.key").unlink()
    before = (tmp_path / "identity.crt").read_bytes()
    with pytest.raises(RefusedError, match=r"identity\.key is missing"):
        identity.ensure(tmp_path, NOW)
    with pytest.raises(RefusedError, match=r"identity\.key is missing"):
        identity.export(tmp_path, PASSPHRASE)
    assert not (tmp_path / "identity.key").exists()
    assert (tmp_path / "identity.crt").read_bytes() == before


@pytest.mark.slow
def test_a_lost_identity_key_comes_back_from_its_recovery_file_only(tmp_path: Path) -> None:
    ours = identity.ensure(tmp_path / "one", NOW)
    saved = identity.export(tmp_path / "one", PASSPHRASE)
    _another_hub(tmp_path / "two")
    (tmp_path / "one" / "identity.key").unlink()
    with pytest.raises(AlreadyThere, match="another identity"):
        foreign = identity.export(tmp_path / "two", PASSPHRASE)
        identity.import_(tmp_path / "one", foreign, PASSPHRASE, NOW)
    assert identity.import_(tmp_path / "one", saved, PASSPHRASE, NOW) == ours
    assert identity.ensure(tmp_path / "one", NOW) == ours


def test_a_certificate_of_another_identity_is_signed_anew(tmp_path: Path) -> None:
    _another_hub(tmp_path / "one")
    ours = identity.ensure(tmp_path / "two", NOW)
    (tmp_path / "two" / "device.crt").write_bytes((tmp_path / "one" / "device.crt").read_bytes())
    assert identity.ensure(tmp_path / "two", NOW) == ours


def test_certificates_are_renewed_before_their_end(tmp_path: Path) -> None:
    before = identity.ensure(tmp_path, NOW)
    old = (tmp_path / "device.crt").read_bytes()
    assert identity.ensure(tmp_path, NOW + datetime.timedelta(days=365 * 9 + 30)) == before
    assert (tmp_path / "device.crt").read_bytes() != old


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_never_overwritten(tmp_path: Path, name: str) -> None:
    identity.ensure(tmp_path, NOW)
    (tmp_path / name).write_bytes(b"damaged")
    if name.endswith(".key"):
        with pytest.raises(RefusedError, match=name):
            identity.ensure(tmp_path, NOW)
        assert (tmp_path / name).read_bytes() == b"damaged"
    else:
        identity.ensure(tmp_path, NOW)
        assert b"CERTIFICATE" in (tmp_path / name).read_bytes()


def test_there_is_no_identity_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Start the hub"):
        identity.load(tmp_path)
    with pytest.raises(RefusedError):
        identity.export(tmp_path, PASSPHRASE)


def _complete(folder: Path) -> None:
    with identity._locked(folder):
        identity._complete(folder, NOW)


@pytest.mark.slow
def test_two_processes_make_one_identity(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_complete, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    ours = identity.load(tmp_path)
    for name, own in (("device", ours.device_key), ("owner", ours.owner_key)):
        leaf, *others = _chain(tmp_path / f"{name}.crt")
        assert certs.verified_keys(leaf, others) == [own, ours.key]


# -- recovery


@pytest.mark.slow
def test_a_recovery_file_makes_a_fresh_hub_ours(tmp_path: Path) -> None:
    lost = identity.ensure(tmp_path / "lost", NOW)
    saved = identity.export(tmp_path / "lost", PASSPHRASE)
    found = identity.import_(tmp_path / "new", saved, PASSPHRASE, NOW)
    assert found.key == lost.key
    assert found.device_key != lost.device_key
    leaf, *others = _chain(tmp_path / "new" / "device.crt")
    assert certs.verified_keys(leaf, others) == [found.device_key, lost.key]
    assert identity.ensure(tmp_path / "new", NOW) == found


@pytest.mark.slow
def test_the_recovery_file_does_not_show_the_key(tmp_path: Path) -> None:
    identity.ensure(tmp_path, NOW)
    saved = identity.export(tmp_path, PASSPHRASE)
    assert saved.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert saved != identity.export(tmp_path, PASSPHRASE)
    with pytest.raises(KeyFormatError):
        identity.export(tmp_path, "too short")


@pytest.mark.slow
def test_importing_our_own_identity_again_is_no_harm(tmp_path: Path) -> None:
    ours = identity.ensure(tmp_path, NOW)
    before = _contents(tmp_path)
    assert (
        identity.import_(tmp_path, identity.export(tmp_path, PASSPHRASE), PASSPHRASE, NOW) == ours
    )
    assert _contents(tmp_path) == before


@pytest.mark.slow
def test_a_hub_of_somebody_keeps_its_identity(tmp_path: Path) -> None:
    _another_hub(tmp_path / "one")
    saved = identity.export(tmp_path / "one", PASSPHRASE)
    ours = identity.ensure(tmp_path / "two", NOW)
    with pytest.raises(AlreadyThere, match="another identity"):
        identity.import_(tmp_path / "two", saved, PASSPHRASE, NOW)
    assert identity.load(tmp_path / "two") == ours


@pytest.mark.slow
def test_a_wrong_passphrase_leaves_nothing_behind(tmp_path: Path) -> None:
    identity.ensure(tmp_path / "one", NOW)
    saved = identity.export(tmp_path / "one", PASSPHRASE)
    with pytest.raises(KeyFormatError):
        identity.import_(tmp_path / "two", saved, PASSPHRASE + "!", NOW)
    assert not (tmp_path / "two" / "identity.key").exists()


def test_a_half_written_file_is_not_taken_for_a_key(tmp_path: Path) -> None:
    ours = identity.ensure(tmp_path, NOW)
    (tmp_path / ".identity.key.draft").write_bytes(b"half")
    key = identity.pem_of(ec.generate_private_key(ec.SECP256R1()))
    identity.write_private(tmp_path / "other.key", key)
    assert identity.ensure(tmp_path, NOW) == ours


# -- tables that somebody else has


@pytest.mark.slow
def test_a_hub_does_not_take_the_tables_of_another_identity(tmp_path: Path) -> None:
    _another_hub(tmp_path / "stranger")
    saved = identity.export(tmp_path / "stranger", PASSPHRASE)
    ours = identity.ensure(tmp_path / "one", NOW)
    for refused in (
        lambda: identity.ensure(tmp_path / "stranger", NOW),
        lambda: identity.ensure(tmp_path / "fresh", NOW),
        lambda: identity.import_(tmp_path / "fresh", saved, PASSPHRASE, NOW),
    ):
        with pytest.raises(RefusedError, match="belongs to another identity"):
            refused()
    assert not (tmp_path / "fresh" / "identity.key").exists()
    assert Principal.objects.get(kind="owner").key == ours.key


@pytest.mark.slow
def test_a_recovered_hub_leaves_the_lost_one_to_be_revoked(tmp_path: Path) -> None:
    lost = identity.ensure(tmp_path / "lost", NOW)
    saved = identity.export(tmp_path / "lost", PASSPHRASE)
    found = identity.import_(tmp_path / "found", saved, PASSPHRASE, NOW)
    devices = Principal.objects.filter(kind="device").values_list("key", flat=True)
    assert {lost.device_key, lost.owner_key, found.device_key, found.owner_key} == set(devices)


# -- a further hub of the same person --------------------------------------------------------------


@pytest.fixture
def at_home(tmp_path: Path) -> Path:
    """Where the data of the person's first hub lies, which has the identity key."""
    folder = tmp_path / "home"
    _another_hub(folder)
    return folder


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """Where the data of a fresh hub lies, whose tables these are."""
    folder = tmp_path / "laptop"
    identity.ensure(folder, NOW)
    return folder


def _given(at_home: Path, laptop: Path) -> identity.DeviceCertificates:
    return identity.sign_device(at_home, identity.device_request(laptop), NOW)


def test_an_adopted_hub_shows_the_identity_of_its_person(at_home: Path, laptop: Path) -> None:
    before = identity.load(laptop)
    ours = identity.adopt(laptop, _given(at_home, laptop), NOW)
    home = identity.load(at_home).key
    assert ours == identity.Identity(home, before.device_key, before.owner_key)
    for name, own in (("device", ours.device_key), ("owner", ours.owner_key)):
        leaf, *others = _chain(laptop / f"{name}.crt")
        assert certs.verified_keys(leaf, others) == [own, home]
    assert [one.key for one in Principal.objects.filter(kind="owner")] == [home]
    assert not identity.has_identity_key(laptop)
    with pytest.raises(RefusedError, match="another of your devices"):
        _given(laptop, at_home)


def test_an_adopted_hub_starts_again(at_home: Path, laptop: Path) -> None:
    ours = identity.adopt(laptop, _given(at_home, laptop), NOW)
    kept = {path.name: path.read_bytes() for path in laptop.iterdir()}
    assert identity.ensure(laptop, NOW) == ours
    assert {path.name: path.read_bytes() for path in laptop.iterdir()} == kept
    assert identity.adopt(laptop, _given(at_home, laptop), NOW) == ours


@pytest.mark.parametrize("lost", ["identity.crt", "device.crt", "owner.crt", "the table"])
def test_an_adoption_that_was_cut_off_is_finished_at_the_next_start(
    at_home: Path, laptop: Path, lost: str
) -> None:
    former = identity.load(laptop).key
    key = (laptop / "identity.key").read_bytes()
    ours = identity.adopt(laptop, _given(at_home, laptop), NOW)
    (laptop / "identity.key").write_bytes(key)
    if lost == "the table":
        Principal.objects.filter(kind="owner").update(key=former)
    else:
        (laptop / lost).unlink()
    assert identity.ensure(laptop, NOW) == ours
    assert not identity.has_identity_key(laptop)


def test_certificates_for_another_hub_are_refused(
    at_home: Path, laptop: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    _another_hub(other)
    before = _contents(laptop)
    with pytest.raises(KeyFormatError, match="not made for this hub"):
        identity.adopt(laptop, _given(at_home, other), NOW)
    assert _contents(laptop) == before


def test_a_hub_that_has_friends_is_not_adopted(at_home: Path, laptop: Path) -> None:
    Principal.objects.create(name="alice", key="A" * 43)
    before = _contents(laptop)
    with pytest.raises(RefusedError, match="friends"):
        identity.adopt(laptop, _given(at_home, laptop), NOW)
    assert _contents(laptop) == before


@pytest.mark.parametrize("spki", [b"", b"nonsense", None])
def test_only_a_public_key_is_signed(at_home: Path, laptop: Path, spki: bytes | None) -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    encoded = weak.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    request = identity.DeviceRequest(encoded if spki is None else spki, encoded)
    with pytest.raises(KeyFormatError):
        identity.sign_device(at_home, request, NOW)


@pytest.mark.slow
def test_a_recovery_file_makes_an_adopted_hub_whole(at_home: Path, laptop: Path) -> None:
    identity.adopt(laptop, _given(at_home, laptop), NOW)
    pem = identity.export(at_home, PASSPHRASE)
    ours = identity.import_(laptop, pem, PASSPHRASE, NOW)
    assert ours.key == identity.load(at_home).key
    assert identity.has_identity_key(laptop)
    assert identity.ensure(laptop, NOW) == ours
