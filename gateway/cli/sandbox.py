"""gateway sandbox: the stand-ins of the city, of the portal and of the planner, on loopback, each its own process."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.context import ConfigOption, JsonOption, guarded, load
from gateway.domain.clock import ShiftedClock
from gateway.domain.errors import ConfigurationError
from gateway.sandbox.city import build_city_app, build_like
from gateway.sandbox.planner import build_planner_app
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.sandbox.portal.event_log import TABLE as EVENT_TABLE
from gateway.sandbox.portal.event_log import write_event_log
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.portal.school_server import build_school_app
from gateway.sandbox.remote import save_export
from gateway.sandbox.serve import open_loopback_socket, serve_forever

sandbox_app = typer.Typer(
    help="Песочницы города, портала и планировщика для проб и тестов; слушают только эту машину.", no_args_is_help=True
)

PortOption = Annotated[int, typer.Option("--port", help="Порт; 0 = свободный.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Имена, отметки и токены зависят только от него.")]
NowOption = Annotated[
    str | None, typer.Option("--now", help="Начальный момент часов песочницы, ISO 8601; без него настоящее время.")
]


@sandbox_app.command("city")
def city_command(
    port: PortOption = 0,
    seed: SeedOption = 1,
    like: Annotated[
        str | None, typer.Option("--like", help="Город как этот портал: адрес портала или слово portal из настроек.")
    ] = None,
    like_token: Annotated[str | None, typer.Option("--like-token", help="Токен портала для --like.")] = None,
    traps: Annotated[bool, typer.Option("--traps", help="С отметками, уже внесёнными в городе вручную.")] = False,
    state: Annotated[
        Path | None, typer.Option("--state", help="Файл, в котором состояние переживает остановку.")
    ] = None,
    rate: Annotated[str, typer.Option("--rate", help="Запросов в секунду, или off.")] = "5",
    now: NowOption = None,
    config: ConfigOption = None,
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent",
            help="Остановиться, когда закроется stdin: так песочница кончается вместе с тем, кто её запустил.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Городской журнал: одна строка JSON с адресом, профилями и токенами, затем работа до Ctrl+C."""
    with guarded():
        school = None
        if like is not None:
            base_url, token = _portal_of(like, like_token, config)
            school = build_like(base_url, token, traps=traps)
        app = build_city_app(
            seed=seed, state_file=state, now=_clock(now), rate_per_s=None if rate == "off" else _rate(rate), like=school
        )
        _serve(app, port, app.state.city.describe(), as_json=as_json, with_parent=with_parent)


@sandbox_app.command("portal")
def portal_command(
    port: PortOption = 0,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Запись вызовов, JSONL или JSONL.gz; без неё — запись из поставки.")
    ] = None,
    pupils: Annotated[int | None, typer.Option("--pupils", help="Выдуманная школа на столько учеников.")] = None,
    seed: SeedOption = 1,
    now: NowOption = None,
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent",
            help="Остановиться, когда закроется stdin: так песочница кончается вместе с тем, кто её запустил.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Портал: запись настоящего Moodle или выдуманная школа."""
    with guarded():
        if pupils is not None:
            app = build_school_app(pupils, seed=seed, now=_clock(now))
        else:
            app = build_replay_app(_read_lines(replay), now=_clock(now))
        _serve(app, port, {"sandbox": "portal", "token": DEFAULT_TOKEN}, as_json=as_json, with_parent=with_parent)


@sandbox_app.command("event-log")
def event_log_command(
    url: Annotated[str, typer.Argument(help="База, адрес SQLAlchemy: sqlite:///events.sqlite.")],
    pupils: Annotated[int, typer.Option("--pupils", min=1, help="Выдуманная школа на столько учеников.")] = 50,
    seed: SeedOption = 1,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Журнал событий той же выдуманной школы, что и у портала с тем же --seed: настоящая таблица в вашей базе."""
    with guarded():
        moment = _clock(now)
        try:
            count = write_event_log(url, pupils, seed=seed, now=None if moment is None else moment())
        except (SQLAlchemyError, ImportError):
            raise ConfigurationError("База для журнала событий не открывается: проверьте адрес") from None
        if as_json:
            sys.stdout.write(json.dumps({"table": EVENT_TABLE, "rows": count}) + "\n")
        else:
            sys.stdout.write(f"Записано строк: {count}, таблица {EVENT_TABLE}\n")


@sandbox_app.command("planner")
def planner_command(
    port: PortOption = 0,
    pupils: Annotated[int, typer.Option("--pupils", help="Выдуманная школа на столько учеников.")] = 50,
    blank: Annotated[bool, typer.Option("--blank", help="Пустые книги: в них только то, что внесут.")] = False,
    seed: SeedOption = 1,
    now: NowOption = None,
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent",
            help="Остановиться, когда закроется stdin: так песочница кончается вместе с тем, кто её запустил.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Планировщик: страницы журнала той же выдуманной школы, что и у портала с тем же --seed."""
    with guarded():
        app = build_planner_app(None if blank else pupils, seed=seed, now=_clock(now))
        _serve(app, port, app.state.planner.describe(), as_json=as_json, with_parent=with_parent)


@sandbox_app.command("export")
def export_command(
    to: Annotated[
        Path, typer.Option("--to", help="Папка, в которую лягут книги; прежние с теми же именами заменятся.")
    ],
    url: Annotated[str, typer.Option("--url", help="Адрес песочницы города.")],
    as_json: JsonOption = False,
) -> None:
    """Выгрузка журналов песочницы города книгами XLSX, какую человек делает из городского журнала."""
    with guarded():
        try:
            saved = save_export(url.rstrip("/"), to)
        except OSError as exc:
            raise ConfigurationError("Выгрузка не получена: песочница не отвечает или папка недоступна") from exc
        if as_json:
            sys.stdout.write(json.dumps({"files": [str(path) for path in saved]}, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"Книг: {len(saved)}, папка {to}\n")


def _serve(app: Any, port: int, facts: dict[str, Any], *, as_json: bool, with_parent: bool) -> None:
    listener = open_loopback_socket(port)
    facts = {**facts, "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
    if as_json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{facts['sandbox']}: {facts['base_url']}\n")
        for profile in facts.get("profiles", [facts]):
            name = f"{profile.get('role', 'token')} {profile.get('profile_id', '')}".strip()
            sys.stdout.write(f"  {name}: {profile['token']}\n")
    sys.stdout.flush()
    if with_parent:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    serve_forever(app, port, listener=listener)


def _end_with_parent() -> None:
    """Wait for the end of stdin, which comes even when the parent is killed, and stop the server as Ctrl+C would."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _portal_of(like: str, token: str | None, config: Path | None) -> tuple[str, str]:
    if like != "portal":
        return like, token or DEFAULT_TOKEN
    portal = load(config).portal
    secret = token or (portal.token.get_secret_value() if portal.token is not None else None)
    if secret is None and portal.token_file is not None:
        secret = portal.token_file.read_text(encoding="utf-8").strip()
    if not portal.base_url or secret is None:
        raise ConfigurationError("--like portal: задайте portal.base_url и portal.token")
    return portal.base_url, secret


def _read_lines(path: Path | None) -> list[dict[str, Any]]:
    if path is None or path.suffix == ".gz":
        return read_recording(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"Запись {path.name} не читается") from exc
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, gzip.BadGzipFile) as exc:
        raise ConfigurationError(f"Запись {path.name}: строка не разобрана") from exc


def _clock(now: str | None) -> Callable[[], datetime] | None:
    if now is None:
        return None
    try:
        moment = datetime.fromisoformat(now)
    except ValueError as exc:
        raise ConfigurationError("--now: момент вида 2026-11-23T19:30:00+03:00") from exc
    if moment.tzinfo is None:
        raise ConfigurationError("--now: нужен часовой пояс, например +03:00")
    return ShiftedClock(moment).now


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError as exc:
        raise ConfigurationError("--rate: число или off") from exc
    if rate <= 0:
        raise ConfigurationError("--rate: больше нуля или off")
    return rate
