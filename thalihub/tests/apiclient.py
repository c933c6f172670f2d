"""Fixtures that call the API in this process: the real handler, gate and stores, without sockets.

A pytest plugin, so that the tests of every app can use them without importing upwards.  The tables
are made once and never emptied: each test has databases and principals of its own names.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

_numbers = itertools.count(1)
_PIECE = 64 * 1024


@dataclass
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Client:
    """Somebody who calls the API; `peer` is what TLS showed of its certificate."""

    peer: tuple[bytes | None, tuple[bytes, ...]] = (None, ())
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Answer:
        """Send a request; a body that is not bytes goes as JSON, parameters into the query."""
        return await self.exchange(method, path, body, headers=headers, **params).run()

    async def get(self, path: str, **params: Any) -> Answer:
        """GET."""
        return await self("GET", path, **params)

    async def put(self, path: str, body: Any = b"", **params: Any) -> Answer:
        """PUT."""
        return await self("PUT", path, body, **params)

    async def post(self, path: str, body: Any = b"", **params: Any) -> Answer:
        """POST."""
        return await self("POST", path, body, **params)

    async def delete(self, path: str, **params: Any) -> Answer:
        """DELETE."""
        return await self("DELETE", path, **params)

    def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Exchange:
        """A request that tells how it went beside its answer."""
        return Exchange(self, method, path, body, {**self.headers, **(headers or {})}, params)

    def open(self, path: str, **params: Any) -> Exchange:
        """A request whose answer is read while it is sent: for feeds."""
        return Exchange(self, "GET", path, None, dict(self.headers), params)


class Exchange:
    """One request and its answer, over ASGI; counts what was read of the body."""

    def __init__(
        self,
        client: Client,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> None:
        self.body_read = 0
        self._ended = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        given = dict(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and method != "GET":
            given.setdefault("content-type", "application/json")
        self._body = body or b""
        given.setdefault("content-length", str(len(self._body)))
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": _query(params).encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ["127.0.0.1", 1],
            "server": ["127.0.0.1", 6984],
            "scheme": "https",
            "hub.peer": client.peer,
            "hub.listener": "api",
        }

    async def run(self) -> Answer:
        """Send the request and return the whole answer."""
        async with self:
            body = b"".join([piece async for piece in self.pieces()])
        return Answer(self.status, self.headers, body)

    async def __aenter__(self) -> Exchange:
        self._task = asyncio.create_task(_handler()(self.scope, self._receive, self._send))
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._task.done():
            self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer's body as it comes."""
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def lines(self) -> AsyncIterator[bytes]:
        """The answer's body, line by line."""
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line

    async def _receive(self) -> dict[str, Any]:
        if self._ended:
            await asyncio.Event().wait()
        piece = self._body[self.body_read : self.body_read + _PIECE]
        self.body_read += len(piece)
        self._ended = self.body_read == len(self._body)
        return {"type": "http.request", "body": piece, "more_body": not self._ended}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
            return
        await self._pieces.put(message.get("body", b""))
        if not message.get("more_body"):
            await self._pieces.put(None)


@dataclass
class Api:
    """The API and the people who call it."""

    owner: Client
    anonymous: Client = field(default_factory=Client)

    def stranger(self) -> Client:
        """Somebody with a certificate that the hub has never seen."""
        return Client((_certificate()[0], ()))

    def principal(self, name: str = "person", **options: Any) -> Client:
        """Somebody whom the hub knows."""
        from acl import store
        from acl.core import certs

        der, _ = _certificate()
        unique = f"{name} {next(_numbers)}"
        store.add_principal(unique, certs.verified_keys(der, ())[0], **options)
        return Client((der, ()), unique)

    def application(self, name: str = "app") -> Client:
        """A local application that has nothing but a token, which it sends as Bearer."""
        from acl import store
        from acl.core import keys, tokens

        unique, token = f"{name} {next(_numbers)}", tokens.spelled(secrets.token_bytes(32))
        store.add_application(unique, keys.key_hash(secrets.token_bytes(32)), [])
        store.put_token(unique, tokens.digest_of(token), 0, None)
        return Client(name=unique, headers={"authorization": f"Bearer {token}"}, token=token)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """Make the test database, also where no test has pytest-django's own marker."""
    from django.test.utils import setup_databases, teardown_databases

    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    yield
    with django_db_blocker.unblock():
        _end_connections()
        teardown_databases(made, verbosity=0)


def _end_connections() -> None:
    """Let PostgreSQL end connections of threads that tests have left: it drops no database else."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="session")
def tables(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The hub's tables, for the whole run; the stores' own connections see them too."""
    from acl import sql
    from couchapi.wakeups import local

    with django_db_blocker.unblock():
        yield
        sql.close()
    if local.mailbox.cache_info().currsize:
        local.mailbox().close()
        local.mailbox.cache_clear()


@pytest.fixture(scope="session")
def hub_identity(tables: None) -> Any:
    """The identity of the hub in this process."""
    import datetime

    from django.conf import settings

    from acl import identity

    for name in ("messages", "control"):  # `manage.py hub` makes them.
        (settings.HUB_DATA / "queue" / name).mkdir(parents=True, exist_ok=True)
    return identity.ensure(settings.HUB_DATA, datetime.datetime.now(datetime.UTC))


@pytest.fixture
def api(hub_identity: Any) -> Iterator[Api]:
    """The API in this process."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding
    from django.conf import settings

    from couchapi import wakeups

    chain = x509.load_pem_x509_certificates((settings.HUB_DATA / "owner.crt").read_bytes())
    leaf, *others = (one.public_bytes(Encoding.DER) for one in chain)
    yield Api(Client((leaf, tuple(others)), "owner"))
    wakeups.local.close()


@pytest_asyncio.fixture
async def owner_http(api: Api) -> AsyncIterator[Any]:
    """An HTTP client of a library that calls the API of this process as the owner."""
    import httpx

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await _handler()(
            {**scope, "hub.peer": api.owner.peer, "hub.listener": "api"}, receive, send
        )

    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1:6984") as made:
        yield made


@pytest.fixture
def owner(api: Api) -> Client:
    """The owner of the hub."""
    return api.owner


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Names of databases that nobody has used."""
    return lambda: f"db{next(_numbers)}"


@pytest.fixture
def no_other_databases(api: Api) -> None:
    """None of the databases other tests have made, which may be damaged; ask for it first."""
    from acl import sql
    from acl.core.policy import ADDRESSBOOK
    from couchapi import tasks
    from couchapi.store import databases
    from replication.books.names import INBOX, ME

    for found in sql.read_sync(databases.everything):
        if found.name not in (ADDRESSBOOK, INBOX, ME):
            sql.write_sync(functools.partial(databases.drop, name=found.name))
    tasks.housekeeping()


@pytest_asyncio.fixture
async def database(owner: Client, new_name: Callable[[], str]) -> str:
    """The path of an empty database with the default policy."""
    path = f"/{new_name()}"
    assert (await owner.put(path)).status == 201
    return path


@pytest_asyncio.fixture
async def couch_database(owner: Client, new_name: Callable[[], str]) -> str:
    """The path of an empty database where conflicts stay, as in CouchDB."""
    path = f"/{new_name()}"
    assert (await owner.put(path, conflict_policy="couch")).status == 201
    return path


@functools.cache
def _handler() -> Any:
    from django.conf import settings

    from thalihub.frontend.lean import LeanHandler

    return LeanHandler(settings.HUB_API_URLCONF)


def _query(params: Mapping[str, Any]) -> str:
    return urlencode(
        {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in params.items()
        }
    )


def _certificate() -> tuple[bytes, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    from acl.core import certs

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certs.self_signed(key, x509.random_serial_number())
    return certificate.public_bytes(Encoding.DER), key
