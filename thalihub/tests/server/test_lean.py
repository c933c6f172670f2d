"""The request as the API's views get it."""

import pytest

from couchapi.core.errors import BodyTooLarge
from thalihub.frontend.leanrequest import ClientGoneError, LeanRequest


def _request(*parts, headers=(), gone=False):
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) or gone}
        for number, part in enumerate(parts, start=1)
    ]
    messages.append({"type": "http.disconnect"})
    taken = iter(messages)

    async def receive():
        return next(taken)

    scope = {
        "method": "GET",
        "raw_path": b"/a%2Fb",
        "query_string": b"k=%22v%22",
        "headers": [(b"host", b"hub"), *headers],
        "client": ["127.0.0.1", 1],
        "server": ["127.0.0.1", 2],
    }
    return LeanRequest(scope, receive)


async def test_body_is_the_parts_together():
    assert await _request(b"ab", b"", b"c").body() == b"abc"


async def test_body_over_the_limit_is_refused_while_it_comes():
    with pytest.raises(BodyTooLarge):
        await _request(b"ab", b"cd").body(limit=3)


async def test_declared_body_over_the_limit_is_refused_before_it_comes():
    request = _request(headers=[(b"content-length", b"4")])
    with pytest.raises(BodyTooLarge):
        await request.body(limit=3)


async def test_body_at_the_limit_is_taken():
    assert await _request(b"abc", headers=[(b"content-length", b"3")]).body(limit=3) == b"abc"


async def test_client_that_leaves_ends_the_reading():
    with pytest.raises(ClientGoneError):
        await _request(b"ab", gone=True).body()


def test_request_looks_like_djangos():
    request = _request(headers=[(b"content-type", b"text/x"), (b"if-none-match", b'"1-a"')])
    assert request.path == request.path_info == "/a%2Fb"
    assert request.GET["k"] == '"v"'
    assert request.headers["If-None-Match"] == request.header(b"if-none-match") == '"1-a"'
    assert request.META["CONTENT_TYPE"] == "text/x"
    assert request.get_host() == "hub"
    assert request.is_secure()
    assert request.build_absolute_uri() == "https://hub/a%2Fb?k=%22v%22"
    assert "LeanRequest" in repr(request)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([(b"content-length", b"7")], 7),
        ([(b"transfer-encoding", b"chunked")], None),
        ([], 0),
    ],
)
def test_length_of_the_body_is_what_was_declared(headers, length):
    assert _request(headers=headers).content_length == length
