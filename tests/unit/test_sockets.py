"""No test reaches beyond this machine."""

from __future__ import annotations

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_an_outside_address_can_not_be_connected_to() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as outside,
        pytest.warns(UserWarning, match="192"),  # pytest-socket warns and raises
        pytest.raises(SocketConnectBlockedError),
    ):
        outside.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737: nobody is there


def test_a_loopback_address_can_be_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        assert near.getpeername() == server.getsockname()
