"""Passports for whoever asks: found by ref or by pupil and day, and written down as an access to the child's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection

from gateway.access.looks import subject_ref
from gateway.audit.deed import Deed
from gateway.audit.subjects import pseudonyms_of
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.mapping.links import load_links
from gateway.reconcile.tables import base, intended
from gateway.report.life import AsOf, load_as_of
from gateway.report.passport import Passport, find_kinds, find_refs, load_passport
from gateway.report.whose import load_pupils_of


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a pupil, with its verdict."""

    kind: str
    ref: str
    subject: str
    on: date | None
    verdict: str


def show_passport(gateway: Gateway, ref: str) -> list[Passport]:
    """Load the passports of a record, one a kind under which the ref is known.

    Raises:
        ConfigurationError: Nothing was ever known under that ref.
        AuditError: The look can't be written down: then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        kinds = find_kinds(conn, place_id, ref)
        _note(conn, gateway, place_id, [(kind, ref) for kind in kinds])
    with gateway.store.read() as conn:
        found = [load_passport(conn, place_id, kind, ref) for kind in kinds]
    passports = [one for one in found if one is not None]
    if not passports:
        raise ConfigurationError("Такой записи нет: как её называть, показывает gateway plan show --json")
    return passports


def show_as_of(gateway: Gateway, ref: str, at: datetime) -> list[AsOf]:
    """Say what stood in either journal at a moment, a line a kind under which the ref is known.

    Raises:
        ConfigurationError: Nothing was ever known under that ref.
        AuditError: The look can't be written down: then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        kinds = find_kinds(conn, place_id, ref)
        if not kinds:
            raise ConfigurationError("Такой записи нет: как её называть, показывает gateway plan show --json")
        _note(conn, gateway, place_id, [(kind, ref) for kind in kinds])
    with gateway.store.read() as conn:
        return [load_as_of(conn, place_id, kind, ref, at) for kind in kinds]


def find_records(gateway: Gateway, pupil: str, on: date | None) -> list[Found]:
    """Find a linked pupil's records, of one day where it is given, each with its verdict.

    Raises:
        ConfigurationError: The pupil is not linked to the city.
        AuditError: The look can't be written down: then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        city_id = load_links(conn, place_id, Kind.PERSON).get(pupil)
        if city_id is None:
            raise ConfigurationError("Ученик не связан с городом: gateway links list")
        refs = find_refs(conn, place_id, city_pupil_id=city_id, on=on)
        _note(conn, gateway, place_id, refs)
    with gateway.store.read() as conn:
        found = [load_passport(conn, place_id, kind, ref) for kind, ref in refs]
    return [
        Found(kind=one.kind, ref=one.ref, subject=one.subject, on=one.on, verdict=one.verdict)
        for one in found
        if one is not None
    ]


def _note(conn: Connection, gateway: Gateway, place_id: int, records: Sequence[tuple[str, str]]) -> None:
    """One entry a child that is looked at; homework is nobody's."""
    links = load_links(conn, place_id, Kind.PERSON)
    pupils = load_pupils_of(conn, place_id, [ref for _, ref in records])
    subjects = sorted(
        {
            subject
            for kind, ref in records
            if (subject := _subject_of(conn, place_id, kind, ref) or _subject_here(pupils.get(ref), links))
        }
    )
    known = pseudonyms_of(conn, gateway.place, subjects)
    gateway.audit.append_many(
        conn,
        [
            Deed(
                stream="access",
                action="passport.shown",
                actor=gateway.actor,
                place=gateway.place,
                object_type="passport",
                subject=known[subject],
                outcome="applied",
            )
            for subject in subjects
        ],
    )


def _subject_here(pupil: str | None, links: Mapping[str, int]) -> str | None:
    """The child of a record that has never been put into the city's terms."""
    return None if pupil is None else subject_ref(pupil, links)


def _subject_of(conn: Connection, place_id: int, kind: str, ref: str) -> str | None:
    """Under which ref the audit knows the child of a record: by its cell in the city, as deliveries do."""
    for table in (intended, base):
        key = conn.execute(
            table.select()
            .with_only_columns(table.c.object_key)
            .where(table.c.place_id == place_id, table.c.kind == kind, table.c.ref == ref)
        ).scalar_one_or_none()
        if key is not None and kind not in (Kind.HOMEWORK.value, Kind.TOPICS.value):
            return f"city-pupil:{key.split('/')[1]}"
    return None
