"""Django's own connections, in processes that serve no requests and so never look at them."""

from __future__ import annotations

from django.db import close_old_connections


def renew() -> None:
    """Let go of this thread's connections that do not work any more."""
    close_old_connections()
