"""The request target: every path that passes is Unicode text, and says what was sent."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from couchapi.core.errors import BadRequest
from thalihub.frontend.target import check_headers, parse_target

names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(st.lists(names, min_size=1, max_size=4))
def test_encoded_path_comes_back_as_text_and_as_sent(segments):
    raw = "/" + "/".join(quote(segment, safe="") for segment in segments)
    target = parse_target(raw.encode())
    assert target.raw_path == raw.encode()
    assert target.path == "/" + "/".join(segments)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_target_or_a_bad_request(data):
    try:
        target = parse_target(data)
    except BadRequest:
        return
    assert target.path.startswith("/")
    assert "\0" not in target.path
    assert target.path == unquote(target.raw_path.decode("ascii"), errors="strict")


@pytest.mark.parametrize(
    ("target", "raw_path", "query"),
    [
        (b"/a?b=c?d", b"/a", b"b=c?d"),
        (b"https://h/a?b", b"/a", b"b"),
        (b"HTTP://h", b"/", b""),
        (b"https://h?b", b"/", b"b"),
        (b"httpkey://h:1/sha256:x/a/b?c", b"/a/b", b"c"),
        (b"httpkey://h:1/sha256:x", b"/", b""),
        (b"//a/b", b"//a/b", b""),
    ],
)
def test_absolute_targets_lose_their_authority(target, raw_path, query):
    parsed = parse_target(target)
    assert (parsed.raw_path, parsed.query) == (raw_path, query)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_host_must_be_there_once(count):
    with pytest.raises(BadRequest):
        check_headers([(b"host", b"a")] * count + [(b"accept", b"*/*")])


def test_one_host_is_enough():
    check_headers([(b"accept", b"*/*"), (b"host", b"a")])


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a\x01", b"a@b", b"a?b", b"<a>", b"\xff"], ids=lambda host: repr(host)
)
def test_a_host_is_a_host(host):
    with pytest.raises(BadRequest):
        check_headers([(b"host", host)])


@pytest.mark.parametrize("host", [b"", b"a.b:1", b"[::1]:6984", b"xn--a.onion", b"127.0.0.1"])
def test_any_way_to_name_a_host_is_taken(host):
    check_headers([(b"host", host)])


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
def test_whose_page_asks_is_said_once(name):
    check_headers([(b"host", b"a"), (name, b"x")])
    with pytest.raises(BadRequest):
        check_headers([(b"host", b"a"), (name, b"x"), (name, b"y")])


@pytest.mark.parametrize("coding", [b"identity", b"gzip", b"chunked, identity", b""])
def test_no_transfer_coding_but_chunked(coding):
    check_headers([(b"host", b"a"), (b"transfer-encoding", b"Chunked")])
    with pytest.raises(BadRequest):
        check_headers([(b"host", b"a"), (b"transfer-encoding", coding)])


@pytest.mark.parametrize("name", [b"authorization", b"origin", b"sec-fetch-site"])
def test_what_says_who_asks_may_be_there_once(name):
    check_headers([(b"host", b"a"), (name, b"x")])
    with pytest.raises(BadRequest):
        check_headers([(b"host", b"a"), (name, b"x"), (name, b"x")])


@pytest.mark.parametrize("target", [b"https://user:secret@h/a", b"httpkey://user@h/sha256:x/a"])
def test_a_password_in_the_target_is_refused_and_not_repeated(target):
    with pytest.raises(BadRequest) as refused:
        parse_target(target)
    assert "secret" not in refused.value.reason
