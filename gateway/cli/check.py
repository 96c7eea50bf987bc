"""gateway check: a line each on what is configured, reachable, permitted and missing. Never a secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.audit.read import EntryFilter, iter_entries
from gateway.audit.sink_place import is_on_databases_disk
from gateway.bootstrap import is_loopback
from gateway.cli.context import OUT, ConfigOption, JsonOption, guarded, load, opened, print_json
from gateway.cli.traffic import breaker_sentence
from gateway.connectors.port import CheckLine, CheckState
from gateway.domain.errors import GatewayError
from gateway.flows.activity import find_reach
from gateway.flows.gateway import Gateway
from gateway.flows.hosts import confirm_host
from gateway.flows.sync import Exit
from gateway.flows.traffic import Traffic, load_traffic
from gateway.mapping.dictionaries import load_subjects
from gateway.mapping.rules import rule_version
from gateway.mapping.versions import find_active, load_counting_rules
from gateway.queue.barrier import find_stop
from gateway.queue.breaker import BreakerState
from gateway.queue.broker import Doorbell
from gateway.settings import GatewaySettings
from gateway.store.epoch import find_write_lock

READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
BACKUP_AGE = timedelta(hours=26)  # a night and two hours for a slow one
_NEEDED = ("portal.base_url", "mesh.base_url")
"""Without these there is nothing to compose."""
_SIGNS = {
    CheckState.OK: "[green]✓[/green]",
    CheckState.WARNING: "[yellow]![/yellow]",
    CheckState.MISSING: "[yellow]—[/yellow]",
    CheckState.FAILED: "[red]✗[/red]",
}


def check_command(
    config: ConfigOption = None,
    confirm_real_host: Annotated[
        str | None,
        typer.Option("--confirm-real-host", help="Разрешить запись в настоящий журнал: имя узла, набранное целиком."),
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="Профиль, которому разрешается запись.")] = "main",
    as_json: JsonOption = False,
) -> None:
    """Проверить настройки, связь и права; секреты не печатаются."""
    with guarded():
        unset = list(iter_unset(load(config)))
    if any(line.subject in _NEEDED for line in unset):
        # nothing can be composed, so nothing is opened or made either: only what is missing is said
        _print(unset, as_json=as_json)
        raise typer.Exit(Exit.USAGE)
    with opened(config) as gateway:
        if confirm_real_host is not None:
            confirm_host(gateway, typed_host=confirm_real_host, profile=profile)
        lines = [*_iter_file_lines(config or Path("gateway.toml")), *iter_lines(gateway)]
        _print(lines, as_json=as_json)
        if not _is_ok(lines):
            raise typer.Exit(Exit.FAULT)


def iter_unset(settings: GatewaySettings) -> Iterator[CheckLine]:
    """Yield a line for each address and token that is not there at all; pure, and says nothing of what is there."""
    mesh, portal = settings.mesh, settings.portal
    has_profile = bool(mesh.profiles) or mesh.token is not None or mesh.token_file is not None
    wanted = (
        ("portal.base_url", bool(portal.base_url), "адрес портала школы"),
        (
            "portal.token",
            portal.token is not None or portal.token_file is not None,
            "токен портала (или portal.token_file)",
        ),
        (
            "mesh.base_url",
            bool(mesh.base_url) or mesh.kind == "file",
            "адрес городского журнала; без настоящего: gateway sandbox city",
        ),
        ("mesh.folder", mesh.folder is not None or mesh.kind != "file", "папка выгруженных журналов"),
        ("mesh.token", has_profile or mesh.kind == "file", "вход в журнал: mesh.token_file или [mesh.profiles.ИМЯ]"),
    )
    for name, is_there, what in wanted:
        if not is_there:
            yield CheckLine(subject=name, state=CheckState.MISSING, sentence=f"не задано: {what}")


def _print(lines: Sequence[CheckLine], *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": _is_ok(lines), "lines": lines})
        return
    for line in lines:
        OUT.print(f"{_SIGNS[line.state]} {line.subject}: {escape(line.sentence)}")


def _iter_activity_lines(gateway: Gateway) -> Iterator[CheckLine]:
    """How far the portal's log of events has been read, where one is named."""
    try:
        reach = find_reach(gateway)
    except GatewayError as error:
        yield CheckLine(subject="activity", state=CheckState.FAILED, sentence=error.sentence)
        return
    if reach is None:
        return
    read = "ещё не читали" if reach.read_at is None else f"прочитано до {gateway.local(reach.read_at):%d.%m.%Y %H:%M}"
    yield CheckLine(
        subject="activity",
        state=CheckState.OK,
        sentence=f"Журнал событий портала читается: {read}, впереди {reach.ahead}",
    )
    if reach.unmapped:
        yield CheckLine(
            subject="activity.unmapped",
            state=CheckState.WARNING,
            sentence=f"событий портала без вида: {reach.unmapped}; список: gateway activity kinds",
        )


def iter_lines(gateway: Gateway) -> Iterator[CheckLine]:
    """Yield the lines: settings first, then the portal, then the city."""
    yield CheckLine(
        subject="database", state=CheckState.OK, sentence=f"{gateway.store.dialect}, схема новейшая, читается и пишется"
    )
    yield CheckLine(
        subject="place",
        state=CheckState.OK,
        sentence=f"город {gateway.place.city}, портал {gateway.place.portal}, год {gateway.place.year}",
    )
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        rules, active = load_counting_rules(conn, place_id, gateway.rules), find_active(conn, place_id)
        of_file = rule_version(load_subjects(conn, place_id, gateway.rules))
    yield _tell_rules(rule_version(rules), None if active is None else active.number, of_file)
    if not rules.scope:
        yield CheckLine(
            subject="mapping.scope",
            state=CheckState.MISSING,
            sentence="таблица [[scope]] пуста: в настоящий город не уйдёт ничего, пока школа не выберет",
        )
    yield from _iter_activity_lines(gateway)
    yield _tell_target(gateway.settings)
    yield _tell_sink(gateway)
    yield _tell_sending(gateway)
    yield _tell_backup(gateway)
    yield from iter_traffic_lines(gateway)
    for source in gateway.sources:
        yield from _guarded_lines(source.name, source.check())
    yield from _guarded_lines("mesh", gateway.city.check())


def _tell_rules(counting: str, number: int | None, of_file: str) -> CheckLine:
    """Which rules count, and whether the file says something else that counts for nothing until it is activated."""
    if number is None:
        return CheckLine(subject="mapping", state=CheckState.OK, sentence=f"правила версии {counting[:12]}, из файла")
    if of_file != counting:
        return CheckLine(
            subject="mapping",
            state=CheckState.WARNING,
            sentence=f"действует версия правил {number}, файл от неё отличается и сам не действует: gateway mapping draft",
        )
    return CheckLine(
        subject="mapping", state=CheckState.OK, sentence=f"действует версия правил {number} ({counting[:12]})"
    )


def _iter_file_lines(path: Path) -> Iterator[CheckLine]:
    """Yield the line on the settings file where there is one; who else may read it is known on POSIX only."""
    if not path.exists():
        return
    if os.name == "posix" and path.stat().st_mode & READABLE_BY_OTHERS:
        state, sentence = CheckState.WARNING, f"{path.name} читают и другие пользователи машины: chmod 600 {path.name}"
    else:
        state, sentence = CheckState.OK, f"{path.name} прочитан"
    yield CheckLine(subject="settings", state=state, sentence=sentence)


def _tell_target(settings: GatewaySettings) -> CheckLine:
    if settings.mesh.kind == "file":
        state, sentence = CheckState.OK, "без доступа к городу: выгрузки журнала и список «внести руками»"
    elif is_loopback(settings):
        state, sentence = CheckState.OK, "песочница на этой машине"
    else:
        state, sentence = CheckState.WARNING, "НАСТОЯЩИЙ городской журнал"
    return CheckLine(subject="mesh.target", state=state, sentence=sentence)


def _tell_sink(gateway: Gateway) -> CheckLine:
    path, since = gateway.audit.sink_path, gateway.audit.find_sink_outage()
    if path is None:
        state = CheckState.WARNING
        sentence = "второго приёмника нет: при восстановлении базы её журнал теряет хвост; задайте audit.sink_file"
    elif since is not None:
        state = CheckState.FAILED
        sentence = f"второй приёмник {path.name} не пишется с {gateway.local(since):%d.%m %H:%M}; записи ждут в базе"
    elif is_on_databases_disk(path, gateway.store):
        state = CheckState.WARNING
        sentence = f"второй приёмник {path.name} на том же диске, что и база: задайте audit.sink_file на другом"
    else:
        state, sentence = CheckState.OK, f"второй приёмник {path.name} не на диске базы и пишется"
    return CheckLine(subject="audit.sink", state=state, sentence=sentence)


def _tell_sending(gateway: Gateway) -> CheckLine:
    with gateway.store.read() as conn:
        stop, lock = find_stop(conn, gateway.place.city), find_write_lock(conn)
    if stop is not None:
        sentence = f"остановлена человеком {gateway.local(stop.since):%d.%m %H:%M}: gateway stop-sending --lift --reason «почему»"
    elif lock is not None:
        sentence = f"закрыта: база восстановлена {gateway.local(lock.since):%d.%m %H:%M}, журнал города ещё не прочитан: gateway sync"
    else:
        return CheckLine(subject="sending", state=CheckState.OK, sentence="отправка разрешена")
    return CheckLine(subject="sending", state=CheckState.WARNING, sentence=sentence)


def _tell_backup(gateway: Gateway) -> CheckLine:
    """A backup that silently fails for days is found out when it is needed (GitLab, 2017)."""
    made_at = max((entry.at for entry in iter_entries(gateway.store, EntryFilter(action="backup.made"))), default=None)
    if made_at is None:
        sentence = "копий базы ещё не было: gateway backup ФАЙЛ на другой диск, каждую ночь"
    elif gateway.now() - made_at > BACKUP_AGE:
        sentence = (
            f"последняя копия базы сделана {gateway.local(made_at):%d.%m %H:%M}, это больше суток: gateway backup ФАЙЛ"
        )
    else:
        return CheckLine(
            subject="backup", state=CheckState.OK, sentence=f"копия от {gateway.local(made_at):%d.%m %H:%M}"
        )
    return CheckLine(subject="backup", state=CheckState.WARNING, sentence=sentence)


def iter_traffic_lines(gateway: Gateway) -> Iterator[CheckLine]:
    """Yield the lines on delivery: whether the city is called, and who delivers where Redis is set."""
    traffic = load_traffic(gateway)
    is_calling = traffic.breaker.state is BreakerState.CLOSED and traffic.held_until is None
    yield CheckLine(
        subject="queue.breaker",
        state=CheckState.OK if is_calling else CheckState.WARNING,
        sentence=breaker_sentence(gateway, traffic),
    )
    if gateway.settings.queue.redis_url is None:
        yield CheckLine(subject="queue.broker", state=CheckState.OK, sentence="в процессе, сервер не нужен")
        return
    yield from _guarded_lines("queue.broker", _iter_broker_lines(gateway, traffic))


def _iter_broker_lines(gateway: Gateway, traffic: Traffic) -> Iterator[CheckLine]:
    Doorbell(lambda _: None, threads=0, redis_url=gateway.settings.queue.redis_url).close()
    yield CheckLine(subject="queue.broker", state=CheckState.OK, sentence="Redis отвечает, очередь не выбрасывает")
    yield CheckLine(
        subject="queue.workers",
        state=CheckState.OK if traffic.workers else CheckState.WARNING,
        sentence=f"работников {traffic.workers}"
        + ("" if traffic.workers else ": запустите gateway worker, без него ничего не отправится"),
    )


def _guarded_lines(subject: str, lines: Iterator[CheckLine]) -> Iterator[CheckLine]:
    try:
        yield from lines
    except GatewayError as error:
        yield CheckLine(subject=subject, state=CheckState.FAILED, sentence=error.sentence)


def _is_ok(lines: Sequence[CheckLine]) -> bool:
    return all(line.state is not CheckState.FAILED for line in lines)
