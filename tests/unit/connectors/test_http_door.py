"""What the one way out says of a call: whether anything may have been sent, within its time and caps."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import traceback
from typing import Any

import pytest

from gateway.connectors.http import HttpDoor
from gateway.domain.errors import (
    ConfigurationError,
    ConnectorError,
    IncompleteReadError,
    OutcomeUnknownError,
    UnavailableError,
    UnreachableError,
)

BODY = b'[{"id": 1}]'
WHOLE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
CANARY = "canary-token-7f3a"


def build_door(base_url: str, **changes: Any) -> HttpDoor:
    return HttpDoor(system="mesh", base_url=base_url, **{"deadline_s": 5.0, **changes})


def test_a_whole_answer_comes_back_with_status_headers_and_body(raw_server: Any) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE))

    with build_door(raw_server.base_url) as door:
        answer = door.call("GET", "/list", is_write=False, query={"page": 1, "flag": True, "ids": "1,2"})

    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, BODY, "application/json")
    assert raw_server.requests[0].startswith(b"GET /list?page=1&flag=true&ids=1%2C2 HTTP/1.1")


@pytest.mark.row("A5")
@pytest.mark.parametrize("sent", range(len(WHOLE)))
def test_an_answer_cut_at_any_byte_leaves_a_write_unknown(raw_server: Any, sent: int) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE[:sent]))

    with build_door(raw_server.base_url) as door, pytest.raises(OutcomeUnknownError) as caught:
        door.call("POST", "/marks", is_write=True, json_body={"value": CANARY}, request_id="r1")

    assert (caught.value.system, caught.value.method, caught.value.request_id) == ("mesh", "POST", "r1")


def test_an_answer_cut_on_a_read_may_be_asked_again(raw_server: Any) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE[:-1]))

    with build_door(raw_server.base_url) as door, pytest.raises(UnavailableError):
        door.call("GET", "/list", is_write=False)


@pytest.mark.row("A1")
@pytest.mark.parametrize("is_write", [False, True])
def test_a_refused_connection_sent_nothing(is_write: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        base_url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with build_door(base_url) as door, pytest.raises(UnreachableError):
        door.call("POST", "/marks", is_write=is_write)


@pytest.mark.row("A1")
def test_an_unknown_host_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with build_door("http://journal.invalid") as door, pytest.raises(UnreachableError):
        door.call("POST", "/marks", is_write=True)


@pytest.mark.row("A27")
def test_a_failed_tls_handshake_sent_nothing(raw_server: Any) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))

    with build_door(f"https://{raw_server.address}") as door, pytest.raises(UnreachableError):
        door.call("POST", "/marks", is_write=True, json_body={"value": CANARY})

    assert all(CANARY.encode() not in request and b"POST" not in request for request in raw_server.requests)


def test_a_full_pool_sent_nothing(raw_server: Any) -> None:
    is_taken = threading.Event()

    def hold(connection: socket.socket, _request: bytes) -> None:
        is_taken.set()
        raw_server.stopped.wait(5)
        connection.sendall(WHOLE)

    raw_server.serve(hold)
    with build_door(raw_server.base_url, parallel=1) as door:
        first = threading.Thread(target=lambda: door.call("GET", "/slow", is_write=False))
        first.start()
        is_taken.wait(5)
        with pytest.raises(UnreachableError):
            door.call("POST", "/marks", is_write=True, deadline_s=0.2)
        raw_server.stopped.set()
        first.join(5)

    assert len(raw_server.requests) == 1


@pytest.mark.row("A23")
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
@pytest.mark.parametrize(("is_write", "expected"), [(False, UnavailableError), (True, OutcomeUnknownError)])
def test_a_dripping_server_is_cut_at_the_total_deadline(
    raw_server: Any, head: bytes, is_write: bool, expected: type[ConnectorError]
) -> None:
    """Each byte comes within any time-out of a single read (reliability.md M21)."""

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        while not raw_server.stopped.wait(0.05):
            connection.sendall(b"a")

    raw_server.serve(drip)
    started_at = time.monotonic()
    with build_door(raw_server.base_url, deadline_s=0.5) as door, pytest.raises(expected):
        door.call("GET", "/drip", is_write=is_write)

    assert time.monotonic() - started_at < 2.0


def test_a_deadline_spent_before_the_first_byte_sent_nothing(raw_server: Any) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE))
    ticks = iter([0.0, 0.0, 9.0, 9.0, 9.0, 9.0])  # the connection takes nine seconds of five

    with (
        build_door(raw_server.base_url, monotonic=lambda: next(ticks)) as door,
        pytest.raises(UnreachableError),
    ):
        door.call("POST", "/marks", is_write=True)


@pytest.mark.row("A24")
@pytest.mark.parametrize(("is_write", "expected"), [(False, IncompleteReadError), (True, OutcomeUnknownError)])
def test_a_body_that_explodes_when_unpacked_is_refused(
    raw_server: Any, is_write: bool, expected: type[ConnectorError]
) -> None:
    packed = gzip.compress(b"a" * 5_000_000)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    raw_server.serve(lambda connection, _request: connection.sendall(head + packed))

    with build_door(raw_server.base_url, max_body_bytes=100_000) as door, pytest.raises(expected):
        door.call("GET", "/bomb", is_write=is_write)


@pytest.mark.row("A24")
def test_an_endless_body_is_refused(raw_server: Any) -> None:
    def pour(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not raw_server.stopped.is_set():
            connection.sendall(b"a" * 10_000)

    raw_server.serve(pour)
    with build_door(raw_server.base_url, max_body_bytes=100_000) as door, pytest.raises(IncompleteReadError):
        door.call("GET", "/endless", is_write=False)


def test_a_gzip_body_is_unpacked_and_a_cut_one_is_noticed(raw_server: Any) -> None:
    packed = gzip.compress(BODY)
    bodies = [packed, packed[:-4]]

    def answer(connection: socket.socket, _request: bytes) -> None:
        body = bodies.pop(0)
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        connection.sendall(head + body)

    raw_server.serve(answer)
    with build_door(raw_server.base_url) as door:
        assert door.call("GET", "/packed", is_write=False).body == BODY
        with pytest.raises(UnavailableError):
            door.call("GET", "/packed", is_write=False)


@pytest.mark.row("A27")
def test_a_redirect_is_not_followed(raw_server: Any) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n"
    raw_server.serve(lambda connection, _request: connection.sendall(head))

    with build_door(raw_server.base_url) as door:
        answer = door.call("GET", "/list", is_write=False)

    assert (answer.status, len(raw_server.requests)) == (302, 1)


def test_cookies_of_one_call_do_not_reach_another(raw_server: Any) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: aupd_token=%s\r\nContent-Length: 0\r\n\r\n"
        % CANARY.encode()
    )
    raw_server.serve(lambda connection, _request: connection.sendall(head))

    with build_door(raw_server.base_url) as door:
        for _ in range(2):
            door.call("GET", "/list", is_write=False)

    assert b"cookie" not in raw_server.requests[1].lower()


def test_proxies_of_the_environment_are_not_used(raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    with build_door(raw_server.base_url) as door:
        assert door.call("GET", "/list", is_write=False).status == 200


def test_a_form_keeps_repeated_names_and_letters(raw_server: Any) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE))

    with build_door(raw_server.base_url) as door:
        door.call("POST", "/rest", is_write=False, form=[("ids[0]", "1"), ("name", "ё"), ("name", "a b")])

    assert raw_server.requests[0].endswith(b"ids%5B0%5D=1&name=%D1%91&name=a+b")


@pytest.mark.parametrize("base_url", ["", "journal", "ftp://host", "http://", "http://u:p@host", "http://host/?a=1"])
def test_an_address_of_another_kind_is_refused_at_once(base_url: str) -> None:
    with pytest.raises(ConfigurationError):
        build_door(base_url)


@pytest.mark.parametrize(
    ("base_url", "is_loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.2", True),
        ("http://[::1]:1", True),
        ("https://school.mos.ru", False),
    ],
)
def test_the_door_knows_whether_it_leads_to_this_machine(base_url: str, is_loopback: bool) -> None:
    with build_door(base_url) as door:
        assert door.is_loopback is is_loopback


@pytest.mark.parametrize("header", [f"{CANARY}\r\nX: y", f"{CANARY}ё"])
def test_a_header_that_can_not_be_sent_is_a_setting_to_mend(raw_server: Any, header: str) -> None:
    raw_server.serve(lambda connection, _request: connection.sendall(WHOLE))

    with build_door(raw_server.base_url) as door, pytest.raises(ConfigurationError) as caught:
        door.call("POST", "/marks", is_write=True, headers={"Authorization": header})

    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_no_secret_stands_in_an_exception_or_a_log(raw_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [WHOLE, WHOLE[:-1], b"", b"HTTP/1.1 200 OK\r\nSet-Cookie: " + CANARY.encode()]
    raw_server.serve(lambda connection, _request: connection.sendall(answers.pop(0)))
    texts = []

    with build_door(raw_server.base_url) as door:
        for is_write in (False, False, True, True):
            try:
                door.call(
                    "POST",
                    "/marks",
                    is_write=is_write,
                    query={"q": CANARY},
                    headers={"Authorization": f"Bearer {CANARY}"},
                    json_body={"comment": CANARY},
                )
            except ConnectorError as exc:
                texts.append("".join(traceback.format_exception(exc)))

    assert len(texts) == 3
    assert CANARY not in "".join(texts) + caplog.text
