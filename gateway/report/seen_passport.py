"""Passports as a scope may see them: whose a mark is decides whose its passport is; of a hidden mark no child learns by it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.reconcile.tables import base, intended, record
from gateway.report.entered import Entered
from gateway.report.life import AsOf, load_as_of
from gateway.report.nameless import OF_NOBODY, Nameless, find_ref
from gateway.report.passport import CONFIRMED, Passport, find_kinds, load_passport
from gateway.report.pupils import OUTSIDE
from gateway.report.visible import Seen, body_field

_OF_STAFF = ("discrepancy.", "hold.")
_ENDED = ("operation.parked", "operation.superseded")


class PassportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a record, or what stood at a moment: one entry a kind under which its ref is known.

    Attributes:
        passports: Empty where a moment was asked for.
        as_of: Empty where none was.
    """

    passports: list[Passport]
    as_of: list[AsOf]


def load_seen_passport(
    conn: Connection, scope: Scope, place_id: int, ref: str, at: datetime | None, city_ids: Mapping[str, int]
) -> tuple[PassportAnswer, set[str]]:
    """Load it, and the refs of the pupils whom it is about.

    Args:
        at: What stood at this moment (aware UTC); None = the whole life.
        city_ids: Confirmed links, pupil ref → city id.

    Raises:
        NotVisibleError: Nothing was ever known under that ref, or it is not the scope's.
    """
    by_city = {city_id: one for one, city_id in city_ids.items()}
    if scope.is_named:
        owners = _load_owners(conn, scope, place_id, ref, by_city)
    else:
        ref, owners = _find_nameless(conn, scope, place_id, ref, city_ids, by_city)
    pupils = {pupil for pupil in owners.values() if pupil is not None}
    if at is not None:
        stood = [load_as_of(conn, place_id, kind, ref, at) for kind in owners]
        if not scope.is_named:
            return PassportAnswer(passports=[], as_of=[_without_value(one) for one in stood]), set()
        return PassportAnswer(passports=[], as_of=stood), pupils
    found = [load_passport(conn, place_id, kind, ref) for kind in owners]
    passports = [one for one in found if one is not None]
    if not passports:
        raise NotVisibleError("Такой записи нет")
    if not scope.is_named:
        nameless = Nameless(conn, scope, pupils, city_ids)
        return PassportAnswer(
            passports=[_without_names(one, nameless, owners[one.kind]) for one in passports], as_of=[]
        ), set()
    if scope.principal.role in OUTSIDE:
        passports = [_without_staff(one) for one in passports]
    return PassportAnswer(passports=passports, as_of=[]), pupils


def _find_nameless(
    conn: Connection, scope: Scope, place_id: int, told: str, city_ids: Mapping[str, int], by_city: Mapping[int, str]
) -> tuple[str, dict[str, str | None]]:
    """What a nameless ref stands for, and whose it is; a ref as the portal spells it only where it is no pupil's.

    The portal's refs can be guessed from a user's number, and the answer says the pupil's pseudonym.

    Raises:
        NotVisibleError: Nothing, or a pupil's by its own ref: the same words for both.
    """
    ref = find_ref(conn, scope.principal.place, place_id, told, city_ids)
    if ref is not None:
        return ref, _load_owners(conn, scope, place_id, ref, by_city)
    owners = _load_owners(conn, scope, place_id, told, by_city)
    nobodys: dict[str, str | None] = {
        kind: pupil for kind, pupil in owners.items() if kind in OF_NOBODY and pupil is None
    }
    if not nobodys:
        raise NotVisibleError("Такой записи нет")
    return told, nobodys


def _load_owners(
    conn: Connection, scope: Scope, place_id: int, ref: str, by_city: Mapping[int, str]
) -> dict[str, str | None]:
    """Kinds of the ref that the scope sees → the pupil; None where it is a group's."""
    kinds = find_kinds(conn, place_id, ref)
    pupil = body_field(record.c.body, "pupil")
    query = select(record.c.kind, pupil.label("pupil")).where(
        record.c.place_id == place_id,
        record.c.ref == ref,
        record.c.kind.in_(kinds),
        Seen(conn, scope, place_id).covers(record),
    )
    if scope.principal.role in OUTSIDE:
        # homework may be another pupil's alone; a hidden mark is not shown at the portal either
        hidden = body_field(record.c.body, "is_hidden")
        query = query.where(pupil.is_not(None), hidden.is_(None) | hidden.not_in(("1", "true")))
    owners: dict[str, str | None] = {row.kind: row.pupil for row in conn.execute(query.order_by(record.c.kind))}
    if scope.is_whole:
        # what the portal does not hold any more is the whole school's
        owners |= {kind: _owner_in_city(conn, place_id, kind, ref, by_city) for kind in kinds if kind not in owners}
    if not owners:
        raise NotVisibleError("Такой записи нет")
    return owners


def _owner_in_city(conn: Connection, place_id: int, kind: str, ref: str, by_city: Mapping[int, str]) -> str | None:
    if kind in OF_NOBODY:
        return None
    for table in (intended, base):
        key = conn.execute(
            select(table.c.object_key).where(
                table.c.place_id == place_id, table.c.kind == kind, table.c.ref == ref, table.c.object_key.is_not(None)
            )
        ).scalar_one_or_none()
        if key is not None:
            city_id = int(key.split("/")[1])
            return by_city.get(city_id, f"city-pupil:{city_id}")
    return None


def _without_staff(one: Passport) -> Passport:
    """What the school's people did among themselves is not a child's or a parent's to read."""
    events = [
        # what the city answered us is for who has to act on it
        msgspec.structs.replace(event, words=event.words.partition(":")[0]) if event.what in _ENDED else event
        for event in one.events
        if not event.what.startswith(_OF_STAFF)
    ]
    return msgspec.structs.replace(one, events=events, discrepancy_id=None)


_VALUED = ("read", "matched", "mapped")
"""Steps whose words say what the record holds, or by which lesson of the city's its pupil is found."""
_NOTED = (
    "portal.read",
    "plan.decided",
    "operation.queued",
    "operation.sent",
    "operation.parked",
    "operation.superseded",
)
"""Events whose notes have numbers of our own alone: no number of the city's, nobody who chose or ordered."""


def _without_names(one: Passport, nameless: Nameless, pupil: str | None) -> Passport:
    """Reasons, states and moments: neither whose the record is nor what it says."""
    return msgspec.structs.replace(
        one,
        ref=nameless.ref(one.kind, one.ref, pupil),
        class_name="",
        pupil=nameless.name(pupil),
        subject="",
        verdict=f"{CONFIRMED}." if one.verdict.startswith(CONFIRMED) else one.verdict,
        ours={},
        base={},
        theirs={},
        city_id=None,
        entered=Entered(typed_by="", on_behalf_of="", answers="", way=one.entered.way, words={}),
        steps=[
            msgspec.structs.replace(step, words="" if step.is_passed and step.name in _VALUED else step.words)
            for step in one.steps
        ],
        events=[
            msgspec.structs.replace(event, words="", note=event.note if event.what in _NOTED else "")
            for event in one.events
        ],
    )


def _without_value(one: AsOf) -> AsOf:
    return msgspec.structs.replace(one, ours="", theirs={})
