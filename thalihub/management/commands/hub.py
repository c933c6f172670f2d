"""`manage.py hub`: runs the hub until Ctrl-C or SIGTERM."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Collection, Sequence
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from acl import identity, sql
from acl import store as acl_store
from acl.core.errors import HubError
from acl.core.keys import key_text
from thalihub import datafolder, env, nearby, setup, store, tor, whereabouts
from thalihub.backups import restoring
from thalihub.frontend import binding
from thalihub.processes import mainprocess


class Command(BaseCommand):
    """Run the hub."""

    help = "Run the hub: the CouchDB API, the pages and the worker, until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take --json and --only."""
        parser.add_argument("--json", action="store_true", help="print the addresses as JSON")
        parser.add_argument(
            "--only",
            metavar="ROLES",
            help=f"do only these, with commas between: {', '.join(mainprocess.ROLES)}. Others run "
            "elsewhere, on the same DATABASE_URL and the same keys. Default: HUB_ROLES, or all",
        )

    def handle(self, *args: Any, json: bool, only: str | None, **options: Any) -> None:
        """Be the main process of the whole hub, or of the parts that are asked for."""
        # All that this hub and its processes write is for the owner's eyes.
        os.umask(0o077)
        roles = _roles(only.split(",") if only else settings.HUB_ROLES)
        if "web" in roles:
            self._serve(roles, json)
        else:
            _help_out(roles)

    def _serve(self, roles: Collection[str], json: bool) -> None:
        """Prepare the data folder, bind the sockets, and serve."""
        try:
            held = datafolder.lock(settings.HUB_DATA)
            restoring.check_finished(settings.HUB_DATA)
            datafolder.withdraw(settings.HUB_DATA)
            ours = _prepare()
        except (datafolder.AlreadyRunningError, HubError) as error:
            raise CommandError(str(error)) from None
        except Exception as error:
            raise _explained(error) from None
        api = _bind(settings.HUB_HOST, settings.HUB_API_PORT)
        pages = _bind(settings.HUB_PAGES_HOST, settings.HUB_PAGES_PORT)
        onion = _bind(settings.HUB_TOR_HOST, settings.HUB_TOR_PORT)
        facts = _facts(ours, api, pages)
        _say_where(facts["api_port"])
        link = _setup_link(facts)
        greeting = _as_json(facts, link) if json else _told(facts, link)
        # For the programs that the hub's processes start.
        os.environ |= {"PYTHONPATH": str(env.SOURCE), "HUB_DATA": str(settings.HUB_DATA)}
        mainprocess.run(
            mainprocess.Plan(
                data_folder=settings.HUB_DATA,
                lock=held.fileno(),
                api=api.fileno(),
                pages=pages.fileno(),
                onion=onion.fileno(),
                web_processes=max(1, settings.HUB_PROCESSES),
                tor=tor.begin(onion),
                nearby=nearby.begin(),
                facts=facts,
                greeting=greeting,
                roles=roles,
            )
        )


def _roles(asked: Sequence[str]) -> Collection[str]:
    named = [name.strip() for name in asked if name.strip()]
    if unknown := [name for name in named if name not in mainprocess.ROLES]:
        raise CommandError(
            f"There is no role {', '.join(unknown)}. Take of: {', '.join(mainprocess.ROLES)}."
        )
    return frozenset(named or mainprocess.ROLES)


def _help_out(roles: Collection[str]) -> None:
    """Do parts of a hub whose web role keeps the keys and the tables, and has begun before."""
    try:
        acl_store.check_not_newer()
        _check_begun()
    except HubError as error:
        raise CommandError(error.reason) from None
    except Exception as error:
        raise _explained(error) from None
    _make_folders()
    os.environ |= {"PYTHONPATH": str(env.SOURCE), "HUB_DATA": str(settings.HUB_DATA)}
    sys.stdout.write(f"This part of the hub runs: {', '.join(sorted(roles))}.\n")
    sys.stdout.flush()
    port = datafolder.facts_of(settings.HUB_DATA).get("api_port", settings.HUB_API_PORT)
    mainprocess.help_out(settings.HUB_DATA, roles, port)


def _check_begun() -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False, check_unapplied=True)
        identity.load(settings.HUB_DATA)
    except (SystemExit, HubError, OSError):
        raise _not_begun() from None


def _not_begun() -> CommandError:
    return CommandError(
        "The hub's tables or keys are not there, or older than this version. Start the part "
        "with the role web first, on the same DATABASE_URL and with the same keys in HUB_DATA."
    )


def _explained(error: Exception) -> Exception:
    """Return what to say of an error: a database that does not answer is none of ours."""
    if not sql.is_away(error):
        return error
    return CommandError(
        f"PostgreSQL does not answer: {error}\nStart it, or correct DATABASE_URL; then start again."
    )


def _make_folders() -> None:
    for name in ("static", "queue/messages", "queue/control", "queue/taken"):
        (settings.HUB_DATA / name).mkdir(parents=True, exist_ok=True)


def _prepare() -> identity.Identity:
    _make_folders()
    acl_store.check_not_newer()
    call_command("migrate", verbosity=0, interactive=False)
    return identity.ensure(settings.HUB_DATA, timezone.now())


def _bind(host: str, port: int) -> socket.socket:
    try:
        return binding.bind(host, port)
    except binding.CannotListenError as error:
        raise CommandError(str(error)) from None


def _facts(ours: identity.Identity, api: socket.socket, pages: socket.socket) -> dict[str, Any]:
    return {
        "api_port": api.getsockname()[1],
        "pages_port": pages.getsockname()[1],
        "key": f"sha256:{ours.key}",
        "device_key": f"sha256:{ours.device_key}",
        "pid": os.getpid(),
        "version": settings.HUB_VERSION,
    }


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        **facts,
        "api": f"https://{binding.reachable(settings.HUB_HOST)}:{facts['api_port']}/",
        "pages": _pages_url(facts),
        "key_text": key_text(facts["key"].removeprefix("sha256:")),
        "owner_certificate": str(settings.HUB_DATA / "owner.crt"),
        "owner_key": str(settings.HUB_DATA / "owner.key"),
    }


def _pages_url(facts: dict[str, Any]) -> str:
    return f"https://{binding.reachable(settings.HUB_PAGES_HOST)}:{facts['pages_port']}/"


def _say_where(port: int) -> None:
    try:
        whereabouts.renew(port)
    except HubError as error:
        raise CommandError(f"HUB_ADDRESSES: {error.reason}") from None


def _setup_link(facts: dict[str, Any]) -> str | None:
    if store.is_claimed():
        setup.forget_link()
        return None
    try:
        return setup.make_link(_pages_url(facts), timezone.now())
    except HubError as error:
        raise CommandError(error.reason) from None


def _as_json(facts: dict[str, Any], link: str | None) -> str:
    return json.dumps(_shown(facts) | ({"setup": link} if link else {})) + "\n"


def _told(facts: dict[str, Any], link: str | None) -> str:
    shown = _shown(facts)
    pin = base64.b64encode(_bytes_of(facts["device_key"])).decode()
    return f"""
The hub serves (version {shown["version"]}, process {shown["pid"]}).

  API       {shown["api"]}
  Pages     {shown["pages"]}
  Its key   {shown["key_text"]}
            {shown["key"]}

Connect as its owner:
  curl -k --pinnedpubkey 'sha256//{pin}' \\
    --cert {shown["owner_certificate"]} --key {shown["owner_key"]} {shown["api"]}

{setup.told(link) + chr(10) if link else ""}Stop it with Ctrl-C.{_as_root()}
"""


def _as_root() -> str:
    if os.geteuid() != 0:
        return ""
    return "\n\nIt runs as root. A user of its own is safer: it needs nothing but its folder."


def _bytes_of(key: str) -> bytes:
    return base64.urlsafe_b64decode(key.removeprefix("sha256:") + "=")
