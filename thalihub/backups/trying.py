"""Tries whether a backup can be restored: in a temporary folder, where everything is looked at.

It is `manage.py restore` itself that runs, in a process and a data folder of its own, so what is
tried is what will be used.  The copy is always in SQLite.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from django.conf import settings

from acl import identity
from acl.core import certs
from acl.core.errors import HubError, RefusedError
from thalihub import env
from thalihub.backups.restoring import KeyOf, Restored
from thalihub.backups.sealing import Opener
from thalihub.backups.store import loading

_NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "HUB_PASSPHRASE", "HUB_SETUP_TOKEN")


class Tried(NamedTuple):
    """What a trial found."""

    documents: int
    made_at: int
    """Unix seconds."""
    is_ours: bool
    """Whether the keys in it belong together and are those that the backup names."""
    wrong: list[str]
    """What is not as it should be; empty when all is well."""


def checked(restored: Restored) -> Tried:
    """Look at everything in the hub that was just restored here."""
    is_ours = _keys_fit(restored.head.key)
    wrong = [] if is_ours else ["The keys do not belong together."]
    if not loading.sqlite_is_whole():
        wrong.append("SQLite finds its file damaged.")
    wrong += [f"The attachment {name} is damaged." for name in loading.wrong_contents()[:10]]
    return Tried(restored.documents, restored.head.made_at, is_ours, wrong)


def _keys_fit(device_key: str) -> bool:
    folder = settings.HUB_DATA
    if not device_key:
        return True
    try:
        ours = identity.load(folder)
        request = identity.device_request(folder)
        chain = x509.load_pem_x509_certificates((folder / "device.crt").read_bytes())
        device, issuer = (one.public_bytes(Encoding.DER) for one in chain)
    except (HubError, OSError, ValueError):
        return False
    signed = certs.verified_keys(device, [issuer]) == [ours.device_key, ours.key]
    held = _hash(request.device) == ours.device_key
    return signed and held and ours.device_key == device_key


def _hash(spki: bytes) -> str:
    key = load_der_public_key(spki)
    assert isinstance(key, certs.PublicKey)
    return certs.public_key_hash(key)


def in_passing(files: Sequence[Path], key_of: KeyOf) -> Tried:
    """Restore into a temporary folder and return what was found; raises RefusedError."""
    keys = {path.name: _key(path, key_of).hex() for path in files}
    with tempfile.TemporaryDirectory(prefix="restore-test-", dir=settings.HUB_DATA) as folder:
        key_file = Path(folder) / "keys.json"
        key_file.touch(mode=0o600)
        key_file.write_text(json.dumps(keys))
        return _run(files, Path(folder))


def _key(path: Path, key_of: KeyOf) -> bytes:
    try:
        with path.open("rb") as file:
            return key_of(path, Opener(file.read))
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}.") from error


def _run(files: Sequence[Path], folder: Path) -> Tried:
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    done = subprocess.run(
        [sys.executable, "manage.py", "restore", "--check", "--keys", str(folder / "keys.json")]
        + [str(path.resolve()) for path in files],
        cwd=env.SOURCE,
        env=inherited | {"HUB_DATA": str(folder / "data")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["It ended without a word."]
        raise RefusedError(lines[-1].removeprefix("CommandError: "))
    return Tried(**json.loads(done.stdout.splitlines()[-1]))


def told(tried: Tried) -> str:
    """Return the result in words; raises RefusedError when something is wrong."""
    if tried.wrong:
        raise RefusedError(" ".join(tried.wrong))
    return f"This backup can be restored: {tried.documents:,} documents, all attachments and keys."
