"""`gateway users` and `gateway serve` as a school types them: passwords by stdin, a real server on loopback, an end by SIGTERM."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway.__main__ import app
from tests.door.api.command_line import SETTINGS

PASSWORD = "correct horse 7"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(SETTINGS.format(folder=tmp_path.as_posix(), more=""), encoding="utf-8")
    return path


@pytest.fixture
def run(config: Path) -> Callable[..., Result]:
    def run_one(*words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, ["users", *words, "--config", str(config)], input=stdin)

    return run_one


@contextmanager
def served(config: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`gateway serve` in a process of its own, and where it listens."""
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(text for text in process.stderr if "http://" in text)
            yield process, line.strip().rpartition(" ")[2]
        finally:
            process.kill()


def test_an_account_is_added_tied_shown_and_disabled(run: Callable[..., Result]) -> None:
    added = run("add", "petrova", "--role", "teacher", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert added.exit_code == 0, added.output
    assert "relate petrova teaches" in added.output
    assert run("relate", "petrova", "teaches", "group:1", "--to", "2026-12-31").exit_code == 0
    assert run("relate", "petrova", "leads", "7 a").exit_code == 0

    told = json.loads(run("list", "--json").stdout)["accounts"][0]

    assert told["account"]["login"] == "petrova"
    assert [(one["tie"], one["object_ref"]) for one in told["relations"]] == [("teaches", "group:1"), ("leads", "7А")]
    assert [one["role"] for one in told["roles"]] == ["teacher"]
    assert "argon2" not in json.dumps(told)
    table = run("list").output
    assert "учитель" in table
    assert "petrova" in table
    number = str(told["relations"][0]["id"])
    assert run("relate", "petrova", "teaches", "-", "--take", number).exit_code == 0
    assert run("role", "petrova", "class_teacher").exit_code == 0
    assert run("role", "petrova", "class_teacher", "--take").exit_code == 0
    assert json.loads(run("list", "--on", "2026-01-01", "--json").stdout) == {"accounts": []}
    assert run("list", "--on", "вчера").exit_code == 2
    assert run("disable", "petrova", "--reason", "уволена").exit_code == 0
    assert "отключена" in run("list").output
    assert run("enable", "petrova", "--reason", "вернулась").exit_code == 0
    assert run("password", "petrova", "--password-stdin", stdin="another horse 8\n").exit_code == 0


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (("add", "a", "--password-stdin"), PASSWORD, "Логин"),
        (("add", "Иванов", "--password-stdin"), PASSWORD, "Логин"),
        (("add", "petrova", "--password-stdin"), "short\n", "короче 12"),
        (("add", "petrova", "--role", "king", "--password-stdin"), PASSWORD, "одно из"),
        (("add", "guest", "--role", "inspector", "--password-stdin"), PASSWORD, "последний день"),
        (("relate", "nobody", "teaches", "group:1"), None, "учётной записи нет"),
        (("role", "nobody", "admin", "--to", "завтра"), None, "2026-11-10"),
        (("token", "nobody", "--role", "admin"), None, "действие"),
    ],
)
def test_a_wrong_word_is_told_with_what_to_do_and_exit_code_two(
    run: Callable[..., Result], words: tuple[str, ...], stdin: str | None, says: str
) -> None:
    result = run(*words, stdin=stdin)

    assert result.exit_code == 2, result.output
    assert says in " ".join(result.output.split())
    assert PASSWORD not in result.output


def test_no_option_takes_a_password(run: Callable[..., Result]) -> None:
    help_text = CliRunner().invoke(app, ["users", "add", "--help"]).output

    assert "--password-stdin" in help_text
    assert "--password " not in help_text


def test_a_served_gateway_answers_a_token_over_http_and_ends_in_order(run: Callable[..., Result], config: Path) -> None:
    run("add", "it", "--role", "admin", "--no-password")
    secret = json.loads(run("token", "it", "--role", "admin", "--action", "runs.read", "--days", "1", "--json").stdout)[
        "secret"
    ]

    with served(config) as (process, base):
        with httpx.Client(trust_env=False, timeout=20) as http:
            health = http.get(f"{base}/health")
            runs = http.get(f"{base}/runs", headers={"Authorization": f"Bearer {secret}"})
            nobody = http.get(f"{base}/runs")
            foreign = http.get(f"{base}/health", headers={"Host": "evil.example"})
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    assert (health.status_code, health.json()) == (200, {"state": "ok"})
    assert (runs.status_code, runs.json()) == (200, {"items": [], "next": None})
    assert (nobody.status_code, foreign.status_code) == (401, 400)
    assert "server" not in health.headers
    assert len(health.headers["x-request-id"]) == 32
    assert code == 0, "the worker beside the door was stopped in order"


def test_an_open_address_without_a_proxy_is_refused(config: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--config", str(config), "--host", "0.0.0.0"])

    assert result.exit_code == 2
    assert "web.trusted_proxies" in " ".join(result.output.split())


def test_a_taken_port_is_told_as_a_setting(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--config", str(config), "--port", port, "--no-worker"])

    assert result.exit_code == 2
    assert "web.port" in result.output


def test_an_asgi_server_of_the_schools_own_gets_the_same_application(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    from gateway.asgi import CONFIG, create_app

    monkeypatch.setenv(CONFIG, str(config))

    with TestClient(create_app(), base_url="http://127.0.0.1") as client:
        assert client.get("/api/v1/health").json() == {"state": "ok"}
        assert client.get("/api/v1/runs").status_code == 401
