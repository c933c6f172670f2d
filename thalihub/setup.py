"""The set-up link: how a hub that has no owner yet gets one, and no open door besides.

Whoever can read the terminal or the data folder may become the owner; nobody else can.  The link
works once and for half an hour; each new one ends the one before.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import secrets
from pathlib import Path

from django.conf import settings
from qrcode.constants import ERROR_CORRECT_L
from qrcode.main import QRCode

from acl.core.errors import RefusedError
from acl.identity import write_private
from thalihub import store

_SHORTEST_PRESET = 20


def make_link(pages_url: str, now: datetime.datetime) -> str:
    """Return a fresh link, and write it to `setup-link.txt`; raises RefusedError."""
    token = _preset() or secrets.token_urlsafe(32)
    store.put_link(token, now)
    url = f"{pages_url.rstrip('/')}/setup/{token}/"
    write_private(_file(), f"{url}\n".encode())
    return url


def forget_link() -> None:
    """Remove the file: the link in it is used up."""
    with contextlib.suppress(FileNotFoundError):
        _file().unlink()


def told(url: str) -> str:
    """Return the link with its QR code, for a terminal."""
    code = QRCode(error_correction=ERROR_CORRECT_L, border=2)
    code.add_data(url)
    drawn = io.StringIO()
    code.print_ascii(out=drawn, invert=True)
    return (
        f"Set up this hub (once, within {store.MINUTES} minutes; the link is also in {_file()}):\n"
        f"\n  {url}\n\n{drawn.getvalue()}"
    )


def _preset() -> str:
    token: str = settings.HUB_SETUP_TOKEN
    is_plain = token.replace("-", "").replace("_", "").isalnum() and token.isascii()
    if token and (len(token) < _SHORTEST_PRESET or not is_plain):
        raise RefusedError(
            f"HUB_SETUP_TOKEN has to be {_SHORTEST_PRESET} or more letters, digits, - and _. "
            "Whoever guesses it owns this hub."
        )
    return token


def _file() -> Path:
    folder: Path = settings.HUB_DATA
    return folder / "setup-link.txt"
