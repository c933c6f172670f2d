"""HTTP/1.1 on the API's door: what is served, and in which order."""

import pytest


def test_connection_serves_one_request_after_the_other(served):
    with served.client() as client:
        for _ in range(3):
            answer = client.ask("GET", "/hello")
            assert (answer.status, answer.json()) == (200, {"hello": "world"})
            assert "connection" not in answer.headers


def test_pipelined_requests_are_answered_in_order(served):
    names = [f"/echo/{number}" for number in range(20)]
    with served.client() as client:
        client.send(
            b"".join(
                f"POST {name} HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\n\r\nabc".encode()
                for name in names
            )
        )
        assert [client.answer().json()["path"] for _ in names] == names


def test_view_sees_path_as_sent_and_the_rest_decoded(served):
    with served.client() as client:
        answer = client.ask(
            "PUT",
            "/echo/a%2Fb/%C3%A9?since=1%2B1&since=2",
            "Content-Type: application/json",
            "X-Test: one",
            "X-Test: two",
            "Content-Length: 2",
            body=b"{}",
        )
    assert answer.json() == {
        "method": "PUT",
        "path": "/echo/a%2Fb/%C3%A9",
        "query": {"since": ["1+1", "2"]},
        "type": "application/json",
        "meta": "one,two",
        "body": "{}",
    }


def test_header_with_underscore_does_not_pass_for_one_with_a_dash(served):
    with served.client() as client:
        assert client.ask("GET", "/echo", "X_Test: forged").json()["meta"] is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("https://elsewhere:6984/echo/x?q=1", "/echo/x"),
        ("httpkey://hub:6984/sha256:abc/echo/x?q=1", "/echo/x"),
    ],
)
def test_absolute_targets_mean_their_path(served, target, path):
    with served.client() as client:
        seen = client.ask("GET", target).json()
    assert (seen["path"], seen["query"]) == (path, {"q": ["1"]})


def test_chunked_body_arrives_whole(served):
    with served.client() as client:
        answer = client.ask(
            "POST",
            "/echo",
            "Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
        )
        assert answer.json()["body"] == "abc0123456789abcdef"
        assert client.ask("GET", "/hello").status == 200


def test_stream_of_large_parts_arrives_whole(served):
    with served.client() as client:
        assert client.ask("GET", "/flood?mb=1&block=100000").body == b"x" * 1_600_000
        assert client.ask("GET", "/hello").status == 200


def test_head_has_the_headers_of_get_and_no_body(served):
    with served.client() as client:
        get, head = client.ask("GET", "/hello"), client.ask("HEAD", "/hello")
        for answer in (get, head):
            answer.headers.pop("date")
        assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
        assert client.ask("HEAD", "/feed").headers.get("transfer-encoding") is None
        assert client.ask("GET", "/hello").status == 200


def test_http_1_0_gets_its_answer_and_the_end_of_the_connection(served):
    with served.client() as client:
        client.send(b"GET /flood?mb=1 HTTP/1.0\r\nHost: hub\r\n\r\n")
        status, headers = client.head()
        assert (status, headers["connection"]) == (200, "close")
        assert len(client.rest()) == 2**20


def test_connection_ends_when_the_client_wants_it(served):
    with served.client() as client:
        answer = client.ask("GET", "/hello", "Connection: close")
        assert answer.headers["connection"] == "close"
        assert client.rest() == b""


def test_body_is_invited_when_the_view_wants_it(served):
    with served.client() as client:
        client.request("PUT", "/echo", "Expect: 100-continue", "Content-Length: 3")
        assert client.answer().status == 100
        client.send(b"abc")
        assert client.answer().json()["body"] == "abc"
        assert client.ask("GET", "/hello").status == 200


def test_body_is_not_invited_when_the_view_refuses(served):
    with served.client() as client:
        answer = client.ask("PUT", "/refused", "Expect: 100-continue", "Content-Length: 3")
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert client.rest() == b""


def test_refused_request_with_a_small_body_keeps_the_connection(served):
    with served.client() as client:
        for _ in range(3):
            answer = client.ask("PUT", "/refused", "Content-Length: 9000", body=b"x" * 9000)
            assert (answer.status, answer.json()["error"]) == (403, "forbidden")


def test_small_body_that_comes_after_the_answer_is_read_away(served):
    with served.client() as client:
        client.request("PUT", "/refused", "Content-Length: 5")
        assert client.answer().status == 403
        client.send(b"lateGET /hello HTTP/1.1\r\nHost: hub\r\n\r\n".replace(b"late", b"late!"))
        assert client.answer().json() == {"hello": "world"}


def test_error_of_a_view_is_an_answer_in_couchdb_form(served):
    with served.client() as client:
        answer = client.ask("POST", "/conflict", "Content-Length: 2", body=b"{}")
        assert (answer.status, answer.headers["content-type"]) == (409, "application/json")
        assert answer.body == b'{"error":"conflict","reason":"Document update conflict."}\n'


def test_unknown_path_is_missing(served):
    with served.client() as client:
        answer = client.ask("GET", "/nothing/here")
        assert (answer.status, answer.body) == (
            404,
            b'{"error":"not_found","reason":"missing"}\n',
        )


def test_failing_view_is_logged_and_tells_no_details(served):
    with served.client() as client:
        answer = client.ask("GET", "/broken")
        assert (answer.status, answer.json()["error"]) == (500, "internal_server_error")
        assert b"secret" not in answer.body
        assert client.ask("GET", "/hello").status == 200
    assert "RuntimeError: a secret" in served.log_text()


def test_failure_inside_an_answer_cuts_the_connection(served):
    with served.client() as client:
        client.request("GET", "/torn")
        assert client.head()[0] == 200
        assert b"0\r\n\r\n" not in client.rest()
