"""What a connection that breaks may raise."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

BROKEN: Final = (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError)
"""httpx lets through what TLS says of a byte that was changed on the way."""
