"""TLS as design/identity-and-tls.md asks for it, seen from the other end of the wire."""

import contextlib
import hashlib
import socket
import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from thalihub import refusals
from thalihub.refusals import Why
from thalihub.tests.hubprocess import eventually
from thalihub.tests.server.certificates import certificate, write_chain
from thalihub.tests.server.client import Client, context


def _digests(served):
    pem = (served.folder / "client.crt").read_text()
    ends = "-----END CERTIFICATE-----\n"
    certificates = [one + ends for one in pem.split(ends) if one]
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(one)).hexdigest() for one in certificates]


def test_client_certificate_and_what_it_appends_reach_the_application(served):
    leaf, appended = _digests(served)
    with served.client() as client:
        assert client.ask("GET", "/whoami").json() == {
            "listener": "api",
            "leaf": leaf,
            "others": [appended],
            "tls_version": 0x0304,
            "name": "CN=client leaf",
            "chain": 2,
        }


def test_client_without_certificate_is_let_in_as_nobody(served):
    with served.client(certificate=False) as client:
        seen = client.ask("GET", "/whoami").json()
        assert (seen["leaf"], seen["others"], seen["chain"]) == (None, [], 0)


def test_server_presents_device_certificate_and_identity(served):
    with _handshake(served.port) as connection:
        chain = connection.get_peer_cert_chain(as_cryptography=True)
    assert [one.subject.rfc4514_string() for one in chain] == [
        "CN=device leaf",
        "CN=device identity",
    ]


def test_tls_1_2_is_refused(served):
    old = context(served.folder)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", served.port)) as raw,
        pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION|protocol version"),
    ):
        old.wrap_socket(raw)


def test_what_does_not_speak_tls_is_counted(served, settings):
    settings.HUB_DATA = served.folder / "data"
    before = refusals.look(time.time())[Why.TLS].ever
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
        while raw.recv(4096):  # An alert, then the end.
            pass
    eventually(lambda: refusals.look(time.time())[Why.TLS].ever > before, what="it is counted")


def test_session_is_not_resumed(served):
    tls = context(served.folder)
    with socket.create_connection(("127.0.0.1", served.port)) as raw, tls.wrap_socket(raw) as one:
        one.sendall(b"GET /hello HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert one.recv(4096)
        session = one.session
    with (
        socket.create_connection(("127.0.0.1", served.port)) as raw,
        tls.wrap_socket(raw, session=session) as two,
    ):
        two.sendall(b"GET /hello HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert two.recv(4096)
        assert not two.session_reused


def test_no_names_of_authorities_are_sent(served):
    with _handshake(served.port) as connection:
        assert connection.get_client_ca_list(as_cryptography=True) == []


@pytest.mark.parametrize(("door", "asks"), [("port", True), ("pages_port", False)])
def test_only_the_api_asks_for_a_certificate(served, door, asks):
    messages = []
    tls = context(served.folder)
    tls._msg_callback = lambda _, way, version, kind, number, data: messages.append(number)
    with (
        socket.create_connection(("127.0.0.1", getattr(served, door))) as raw,
        tls.wrap_socket(raw),
    ):
        names = [getattr(message, "name", "") for message in messages]
    assert ("CERTIFICATE_REQUEST" in names) is asks


def test_http_1_1_is_chosen_and_http_2_is_not(served):
    tls = context(None)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", served.port)) as raw, tls.wrap_socket(raw) as one:
        assert one.selected_alpn_protocol() == "http/1.1"


def test_client_that_speaks_no_tls_gets_no_answer_in_http(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert not raw.recv(100).startswith(b"HTTP")


def test_pages_door_serves_pages(served):
    with Client(served.pages_port) as client:
        assert client.ask("GET", "/").headers["location"] == "/admin/"
    with Client(served.pages_port) as client:
        assert client.ask("GET", "/hello").status == 404


@contextlib.contextmanager
def _handshake(port):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), raw)
        connection.set_connect_state()
        raw.setblocking(True)
        connection.do_handshake()
        yield connection


@pytest.mark.parametrize("version", [1, 7])
def test_certificate_of_an_unknown_version_is_answered_like_any_other(served, tmp_path, version):
    key = ec.generate_private_key(ec.SECP256R1())
    der = certificate("odd", key).public_bytes(Encoding.DER)
    odd = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version]), 1)
    (tmp_path / "client.crt").write_text(ssl.DER_cert_to_PEM_cert(odd))
    (tmp_path / "client.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with Client(served.port, tmp_path) as client:
        assert client.ask("GET", "/whoami").json()["name"] is None


def test_a_replaced_certificate_is_shown_to_the_next_connection(served):
    names = ("device.key", "device.crt")  # The certificate last: it is what is looked at.
    kept = {name: (served.folder / name).read_bytes() for name in names}
    write_chain(served.folder, "other")
    try:
        for name in names:
            content = (served.folder / name.replace("device", "other")).read_bytes()
            (served.folder / name).write_bytes(content)
        assert _leaf_shown(served) == "CN=other leaf"
        (served.folder / "device.crt").write_bytes(b"nonsense")
        assert _leaf_shown(served) == "CN=other leaf"
    finally:
        for name, content in kept.items():
            (served.folder / name).write_bytes(content)
    assert _leaf_shown(served) == "CN=device leaf"


def _leaf_shown(served):
    with _handshake(served.port) as connection:
        chain = connection.get_peer_cert_chain(as_cryptography=True)
    return chain[0].subject.rfc4514_string()
