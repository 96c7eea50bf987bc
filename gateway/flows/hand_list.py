"""Hand list: what waits for a person to type it, with the city's names; written beside the exports after each run.

The files are made anew from the rows every time: the rows are the truth, a file that was lost or edited is nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, select

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityLesson, CityYear, pupils_of
from gateway.domain.errors import (
    ConfigurationError,
    ConnectorError,
    ContractError,
    GatewayError,
    IncompleteReadError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import Kind
from gateway.domain.records import Group, Subject
from gateway.flows.gateway import Gateway
from gateway.flows.pull import Problem
from gateway.mapping.links import load_links
from gateway.queue.by_hand import load_listed
from gateway.queue.tables import operation
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.tables import city_directory
from gateway.report.hand_list import Handed, HandLine, build_hand_list, to_text, to_workbook
from gateway.report.hand_page import to_page
from gateway.store.among import among

FOLDER = "внести руками"
"""Below `mesh.folder`: exports are looked for above it, so the list is never taken for one."""
NAME = "Внести руками"
NAMED_COUNT = 3
"""Groups that a run's sentence names; the command names them all."""
OWNER_ONLY = 0o600
"""Names and marks of pupils: only for the account that runs the gateway, which hands it on."""


class HandList(msgspec.Struct, frozen=True, kw_only=True):
    """The list, and which groups' timetables could not be read: their lines say the day and not which lesson it is."""

    lines: list[HandLine]
    problems: list[Problem]


def load_hand_list(gateway: Gateway) -> list[HandLine]:
    """Load the list in the order in which a person types it."""
    return read_hand_list(gateway).lines


def read_hand_list(gateway: Gateway) -> HandList:
    """Load the list with what is to be said of it; one group that can't be read stops no other.

    While the city does not answer the timetable can't be read: the lines then say the day and not which lesson it is.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        operations = _load_handed(conn, place_id, gateway.store.now(conn))
        stored = conn.execute(
            select(city_directory.c.body).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
    if not operations or stored is None:
        return HandList(lines=[], problems=[])
    directory = msgspec.json.decode(stored, type=CityDirectory)
    group_ids = sorted({one.intent.group_id for one in operations})
    lessons, unread = _fetch_lessons(gateway, group_ids, directory.year)
    pages = _load_pages(gateway, place_id, directory, group_ids)
    problems = [
        Problem(
            scope=f"{Kind.LESSON.value}|city-group:{group_id}",
            where=pages[group_id],
            reason=error.reason_code,
            sentence=error.sentence,
        )
        for group_id, error in unread.items()
    ]
    lines = build_hand_list(operations, directory, {lesson.id: lesson for lesson in lessons}, pages=pages)
    return HandList(lines=lines, problems=problems)


def _fetch_lessons(
    gateway: Gateway, group_ids: list[int], year: CityYear
) -> tuple[Sequence[CityLesson], Mapping[int, ConnectorError]]:
    """Read the timetables at once, or one by one where some can't be read; say which could not."""
    lessons: list[CityLesson] = []
    unread: dict[int, ConnectorError] = {}
    try:
        try:
            return gateway.city.fetch_lessons(group_ids, year.begins_on, year.ends_on), {}
        except (IncompleteReadError, ContractError):
            pass  # of one of them: which one is found out below
        for group_id in group_ids:
            try:
                lessons += gateway.city.fetch_lessons([group_id], year.begins_on, year.ends_on)
            except (IncompleteReadError, ContractError) as error:
                unread[group_id] = error
    except (UnreachableError, UnavailableError, ThrottledError):
        pass  # the city does not answer: what was read so far is good
    return lessons, unread


def _load_pages(
    gateway: Gateway, place_id: int, directory: CityDirectory, group_ids: Iterable[int]
) -> Mapping[int, str]:
    """Load how pages are named: by the city; else, where it shows a page no more, by the school; else by number."""
    named = {group.id: group.name for group in directory.groups}
    if all(group_id in named for group_id in group_ids):
        return named
    with gateway.store.read() as conn:
        links = load_links(conn, place_id, Kind.GROUP)
        subjects = {one.ref: one.name for one in load_records(conn, place_id, Subject)}
        for group in load_records(conn, place_id, Group):
            city_id = links.get(group.ref)
            if city_id is not None and city_id not in named:
                words = (group.class_name or group.name, subjects.get(group.subject, ""))
                named[city_id] = " — ".join(filter(None, words))
    return {group_id: named.get(group_id, f"страница № {group_id}") for group_id in group_ids}


def _load_handed(conn: Connection, place_id: int, now: datetime) -> list[Handed]:
    return [
        Handed(
            id=row.id,
            op=row.op,
            intent=msgspec.json.decode(row.intent, type=INTENT_TYPES[row.kind]),
            old=msgspec.json.decode(row.old, type=INTENT_TYPES[row.kind]) if row.old is not None else None,
        )
        for row in load_listed(conn, place_id, now=now)
    ]


def load_handed_pupils(conn: Connection, place_id: int, lines: Sequence[HandLine]) -> set[str]:
    """Load whom these lines are about, by the portal's codes; by the city's where nobody is linked to him any more.

    Of the lines as they are shown: the list may have moved since it was read.
    """
    rows = conn.execute(
        select(operation.c.kind, operation.c.intent, operation.c.old).where(
            operation.c.place_id == place_id, among(conn, operation.c.id, [line.operation for line in lines])
        )
    )
    numbers = {
        pupil
        for row in rows
        for body in (row.intent, row.old)
        if body is not None
        for pupil in pupils_of(msgspec.json.decode(body, type=INTENT_TYPES[row.kind]))
    }
    known = {number: ref for ref, number in load_links(conn, place_id, Kind.PERSON).items()}
    return {known.get(number, f"city-pupil:{number}") for number in numbers}


def write_hand_list(lines: list[HandLine], folder: Path) -> tuple[Path, Path, Path]:
    """Write the list as a workbook, as text and as a page to print, each whole or not at all.

    Returns:
        The three files.

    Raises:
        ConfigurationError: The folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workbook = _replace(folder / f"{NAME}.xlsx", to_workbook(lines))
        text = _replace(folder / f"{NAME}.txt", to_text(lines).encode())
        return workbook, text, _replace(folder / f"{NAME}.html", to_page(lines).encode())
    except OSError as exc:
        raise ConfigurationError(f"Список «внести руками» не записан: папка {folder.name} недоступна") from exc


def _replace(path: Path, content: bytes) -> Path:
    draft = path.with_suffix(f"{path.suffix}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as stream:
        stream.write(content)
    draft.replace(path)
    return path


def refresh_hand_list(gateway: Gateway) -> str:
    """Write the list beside the exports after a run.

    Returns:
        A sentence about what went wrong; empty where all is well or there is no such list.
    """
    mesh = gateway.settings.mesh
    if mesh.kind != "file" or mesh.folder is None:
        return ""
    try:
        found = read_hand_list(gateway)
        write_hand_list(found.lines, mesh.folder / FOLDER)
    except GatewayError as error:
        return error.sentence  # the rows stand: the command makes the list whenever it is asked
    told = [f"{one.where}: {one.sentence}" for one in found.problems[:NAMED_COUNT]]
    more = len(found.problems) - len(told)
    return ". ".join([*told, *([f"И ещё групп: {more}"] if more else [])])


__all__ = [
    "FOLDER",
    "HandList",
    "load_hand_list",
    "load_handed_pupils",
    "read_hand_list",
    "refresh_hand_list",
    "write_hand_list",
]
