"""The incident sheet: what of one child stood at another, since when, who may have seen it, and what became of it.

Reads only. It holds names and marks: it is for the deputy head and the director, and goes into no log. What the city's
own users have seen the gateway can't know; it says since when and until when each entry stood there. Who looked at the
pupils in the gateway itself is in the `access` chain, under the profiles' pseudonyms.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec
import xlsxwriter
from sqlalchemy import Connection, Row, func, select

from gateway.audit.notes import get_note
from gateway.audit.read import load_newest
from gateway.audit.subjects import find_pseudonyms
from gateway.connectors.port import CityDirectory
from gateway.domain.city import Intent
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Place, moved_ref
from gateway.mapping.atoms import atom_of_intent
from gateway.queue.tables import operation, receipt
from gateway.reconcile.relinks import Move, RelinkItem, load_items
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.tables import base, city_directory, incident, relink
from gateway.report.plan_view import Words, full_name

MOST_LOOKS = 5_000
"""Entries of the access chain that one sheet counts; more are said to be more."""
REMOVAL_WORDS = {
    "delete": "удаляет шлюз",
    "hand": "убирает человек: город не даёт удалять это вызовом",
    "keep": "внесено человеком, не трогаем",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that stood at the wrong child.

    Attributes:
        since: When it was first seen there; `until` when it was seen to be gone, None = it stands there yet.
        created_at: When it was seen at the right child; None = not there yet, or nowhere to be.
    """

    kind: str
    subject: str
    on: str
    what: str
    wrong_pupil: str
    since: datetime
    until: datetime | None
    removal: str
    created_at: datetime | None


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """Who looked at these pupils in the gateway: a role and a number, never a name."""

    actor: str
    role: str | None
    what: str
    times: int
    first_at: datetime
    last_at: datetime


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """One clock of the law: due, done by whom, and what was said."""

    due_at: datetime
    done_at: datetime | None
    done_by: str | None
    said: str | None
    is_overdue: bool


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """All of one incident; `state` is open, notified or closed."""

    number: int
    state: str
    noticed_at: datetime
    noticed_by: str
    reason: str | None
    notice: Deadline
    findings: Deadline
    relink: int
    relink_state: str
    moves: list[str]
    shown: list[Shown]
    looks: list[Looked]
    is_more: bool


class IncidentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One incident in a list."""

    number: int
    state: str
    relink: int
    noticed_at: datetime
    notice_due_at: datetime
    findings_due_at: datetime
    is_overdue: bool


def load_incidents(
    conn: Connection, place_id: int, *, now: datetime, before: int = 0, limit: int = 50
) -> list[IncidentLine]:
    """Load incidents, the newest first; `before` pages them by number, 0 = from the newest."""
    query = select(incident).where(incident.c.place_id == place_id)
    if before:
        query = query.where(incident.c.id < before)
    return [
        IncidentLine(
            number=row.id,
            state=_state(row),
            relink=row.relink_id,
            noticed_at=row.noticed_at,
            notice_due_at=row.notice_due_at,
            findings_due_at=row.findings_due_at,
            is_overdue=_is_overdue(row, now),
        )
        for row in conn.execute(query.order_by(incident.c.id.desc()).limit(limit))
    ]


def get_sheet(conn: Connection, place: Place, place_id: int, number: int, *, now: datetime) -> Sheet:
    """Load one incident whole.

    Raises:
        NotVisibleError: There is none of that number here.
    """
    row = conn.execute(
        select(incident, relink.c.moves, relink.c.state.label("relink_state"), relink.c.note_id.label("why"))
        .join(relink, relink.c.id == incident.c.relink_id)
        .where(incident.c.id == number, incident.c.place_id == place_id)
    ).one_or_none()
    if row is None:
        raise NotVisibleError(f"Инцидента {number} нет: gateway incidents")
    moves = msgspec.convert(row.moves, list[Move])
    items = load_items(conn, row.relink_id)
    names = _load_names(conn, place_id)
    since = min((one.stood_since for one in items), default=row.noticed_at)
    looks, is_more = _load_looks(conn, place, moves, since)
    return Sheet(
        number=row.id,
        state=_state(row),
        noticed_at=row.noticed_at,
        noticed_by=row.noticed_by,
        reason=get_note(conn, row.why),
        notice=_deadline(conn, row.notice_due_at, row.notified_at, row.notified_by, row.notice_note_id, now),
        findings=_deadline(conn, row.findings_due_at, row.found_at, row.found_by, row.findings_note_id, now),
        relink=row.relink_id,
        relink_state=row.relink_state,
        moves=[_tell_move(move, Words(conn, place_id), names) for move in moves],
        shown=_load_shown(conn, place_id, row.relink_id, items, names),
        looks=looks,
        is_more=is_more,
    )


def _state(row: Row[Any]) -> str:
    if row.found_at is not None:
        return "closed"
    return "open" if row.notified_at is None else "notified"


def _is_overdue(row: Row[Any], now: datetime) -> bool:
    return bool(
        (row.notified_at is None and row.notice_due_at < now) or (row.found_at is None and row.findings_due_at < now)
    )


def _deadline(
    conn: Connection, due: datetime, done: datetime | None, by: str | None, note_id: int | None, now: datetime
) -> Deadline:
    return Deadline(
        due_at=due,
        done_at=done,
        done_by=by,
        said=None if note_id is None else get_note(conn, note_id),
        is_overdue=(done or now) > due,
    )


def _load_names(conn: Connection, place_id: int) -> Mapping[int, str]:
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    pupils = () if body is None else msgspec.json.decode(body, type=CityDirectory).pupils
    return {one.id: " ".join(part for part in (one.last_name, one.first_name) if part) for one in pupils}


def _tell_move(move: Move, words: Words, names: Mapping[int, str]) -> str:
    person = words.person_of(move.local_ref)
    who = move.local_ref if person is None else f"{full_name(person)} ({move.local_ref})"
    wrong = f"№ {move.from_city_id} {names.get(move.from_city_id, '')}".strip()
    if move.to_city_id is None:
        return f"{who}: записи стояли у {wrong}; верный профиль ещё не назван"
    return (
        f"{who}: записи стояли у {wrong}, верный профиль № {move.to_city_id} {names.get(move.to_city_id, '')}".strip()
    )


def _load_shown(
    conn: Connection, place_id: int, number: int, items: Sequence[RelinkItem], names: Mapping[int, str]
) -> list[Shown]:
    gone = {
        row.ref: row.at
        for row in conn.execute(
            select(operation.c.ref, func.max(receipt.c.at).label("at"))
            .join(receipt, receipt.c.operation_id == operation.c.id)
            .where(
                operation.c.place_id == place_id,
                operation.c.op == "delete",
                receipt.c.stage == "verified",
                operation.c.ref.in_([moved_ref(number, one.ref) for one in items]),
            )
            .group_by(operation.c.ref)
        )
    }
    there = {
        (row.kind, row.ref, row.object_key): row.verified_at
        for row in conn.execute(
            select(base.c.kind, base.c.ref, base.c.object_key, base.c.verified_at).where(
                base.c.place_id == place_id, base.c.ref.in_([one.ref for one in items])
            )
        )
    }
    words = Words(conn, place_id)
    shown = []
    for one in items:
        intent: Intent = msgspec.json.decode(one.old, type=INTENT_TYPES[one.kind])
        pupil = int(one.object_key.split("/")[1])
        shown.append(
            Shown(
                kind=one.kind,
                subject=words.cell(one.kind, intent, None).subject,
                on="" if one.on_date is None else f"{one.on_date:%d.%m.%Y}",
                what=", ".join(f"{name} {value}" for name, value in words.fields(atom_of_intent(intent)).items()),
                wrong_pupil=f"№ {pupil} {names.get(pupil, '')}".strip(),
                since=one.stood_since,
                until=gone.get(moved_ref(number, one.ref)),
                removal=REMOVAL_WORDS[one.removal],
                created_at=there.get((one.kind, one.ref, one.to_object_key or "")),
            )
        )
    return shown


def _load_looks(conn: Connection, place: Place, moves: Sequence[Move], since: datetime) -> tuple[list[Looked], bool]:
    refs = [f"city-pupil:{move.from_city_id}" for move in moves] + [move.local_ref for move in moves]
    subjects = find_pseudonyms(conn, place, refs).values()
    found: dict[tuple[str, str | None, str], list[datetime]] = {}
    before, count = 0, 0
    while subjects and count < MOST_LOOKS:
        page = load_newest(conn, "access", subjects=list(subjects), before_seq=before, limit=500)
        for entry in page:
            if entry.at >= since:
                found.setdefault((entry.actor, entry.actor_role, entry.object_type or ""), []).append(entry.at)
        count += len(page)
        if len(page) < 500 or page[-1].at < since:
            break
        before = page[-1].seq
    looks = [
        Looked(actor=actor, role=role, what=what, times=len(times), first_at=min(times), last_at=max(times))
        for (actor, role, what), times in found.items()
    ]
    return sorted(looks, key=lambda one: (one.first_at, one.actor, one.what)), count >= MOST_LOOKS


_COLUMNS = ("Вид", "Предмет", "Дата", "Что", "У кого стояло", "С", "До", "Как убирается", "У верного с")
_LOOK_COLUMNS = ("Учётная запись", "Роль", "Что смотрели", "Раз", "Впервые", "Последний раз")


def to_rows(sheet: Sheet, zone: tzinfo) -> tuple[list[tuple[str, str]], list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The sheet as tables of text, moments by the school's clock: facts, entries, looks."""
    facts = [
        ("Инцидент", f"№ {sheet.number}, исправление № {sheet.relink}"),
        ("Замечен", f"{_at(sheet.noticed_at, zone)}, {sheet.noticed_by}"),
        ("Причина", sheet.reason or "—"),
        *(("Кто", move) for move in sheet.moves),
        ("Уведомить до (24 ч)", _tell_deadline(sheet.notice, zone)),
        ("Результаты до (72 ч)", _tell_deadline(sheet.findings, zone)),
        ("Видно было", "в городском журнале: ученику, его представителям и его педагогам, за указанные времена"),
    ]
    entries: list[tuple[str, ...]] = [
        (
            one.kind,
            one.subject,
            one.on,
            one.what,
            one.wrong_pupil,
            _at(one.since, zone),
            _at(one.until, zone) if one.until else "ещё стоит",
            one.removal,
            _at(one.created_at, zone) if one.created_at else "—",
        )
        for one in sheet.shown
    ]
    looks: list[tuple[str, ...]] = [
        (one.actor, one.role or "—", one.what, str(one.times), _at(one.first_at, zone), _at(one.last_at, zone))
        for one in sheet.looks
    ]
    return facts, entries, looks


def build_xlsx(sheet: Sheet, zone: tzinfo) -> bytes:
    """The sheet as a workbook; every cell is text, so that nothing in it is a formula."""
    facts, entries, looks = to_rows(sheet, zone)
    stream = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(stream, options) as book:
        bold = book.add_format({"bold": True, "bottom": 1})
        for name, head, rows in (
            ("Инцидент", ("Что", "Значение"), facts),
            ("Записи", _COLUMNS, entries),
            ("Кто смотрел", _LOOK_COLUMNS, looks),
        ):
            page = book.add_worksheet(name)
            for column, title in enumerate(head):
                page.write_string(0, column, title, bold)
                page.set_column(column, column, 24)
            for line, row in enumerate(rows, start=1):
                for column, cell in enumerate(row):
                    page.write_string(line, column, cell)
            page.freeze_panes(1, 0)
    return stream.getvalue()


def build_html(sheet: Sheet, zone: tzinfo) -> str:
    """The sheet as one page to be printed, without anything from elsewhere."""
    facts, entries, looks = to_rows(sheet, zone)
    parts = [
        "<!doctype html><html lang='ru'><head><meta charset='utf-8'>",
        f"<title>Инцидент № {sheet.number}</title>",
        "<style>body{font:14px sans-serif}table{border-collapse:collapse;margin:1em 0}"
        "td,th{border:1px solid #999;padding:.3em .5em;text-align:left}</style></head><body>",
        f"<h1>Инцидент № {sheet.number}</h1>",
        _table((), facts),
        "<h2>Что и сколько времени стояло у другого ребёнка</h2>",
        _table(_COLUMNS, entries),
        "<h2>Кто смотрел данные этих учеников в шлюзе</h2>",
        _table(_LOOK_COLUMNS, looks),
        "</body></html>",
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{heads}</tr>' if heads else ''}{lines}</table>"


def _tell_deadline(one: Deadline, zone: tzinfo) -> str:
    if one.done_at is not None:
        late = ", с опозданием" if one.is_overdue else ""
        return f"{_at(one.due_at, zone)}: сделано {_at(one.done_at, zone)}{late}, {one.done_by}: {one.said or '—'}"
    return f"{_at(one.due_at, zone)}: {'просрочено' if one.is_overdue else 'ждёт'}"


def _at(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%d.%m.%Y %H:%M}"


__all__ = ["IncidentLine", "Sheet", "build_html", "build_xlsx", "get_sheet", "load_incidents", "to_rows"]
