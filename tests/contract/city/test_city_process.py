"""The sandbox as a process of its own: killed, and ended by the terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.sandbox.city import build_city_app

PROGRAM = """
import sys
from pathlib import Path
from gateway.sandbox.city import build_city_app
from gateway.sandbox.serve import open_loopback_socket, serve_forever

listener = open_loopback_socket()
app = build_city_app(state_file=Path(sys.argv[1]))
print(listener.getsockname()[1], flush=True)
serve_forever(app, 0, listener=listener)
"""


@contextmanager
def sandbox(state_file: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(state_file)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as http:
            yield process, http
    finally:
        process.kill()
        process.communicate()


def test_a_write_that_was_answered_survives_the_kill_of_the_sandbox(state_file: Path) -> None:
    with sandbox(state_file) as (process, http):
        mark = http.get("/__sandbox/state").json()["marks"][0]["id"]
        http.post("/__sandbox/human", json={"op": "delete", "kind": "mark", "id": mark}).raise_for_status()
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    city = build_city_app(state_file=state_file).state.city

    assert [(entry["op"], entry["id"]) for entry in city.state.ledger] == [("delete", mark)]
    assert city.state.find("marks", mark)["deleted_at"] is not None
    city.state.close()


def test_ctrl_c_ends_the_sandbox_without_a_complaint(state_file: Path) -> None:
    with sandbox(state_file) as (process, http):
        assert http.get("/__sandbox/ledger").json() == []
        process.send_signal(signal.SIGINT)

        assert process.wait(10) == 0
