"""A sync that somebody asks for by a door reaches no farther than he does (T8: a job carries its requester's rights).

Stands before `sync`: turns what was asked into a `Want` that touches only what the scope covers, or says that there is
no such thing.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, literal, select

from gateway.access.roles import Reach
from gateway.access.scope import Scope
from gateway.connectors.port import Want
from gateway.domain.errors import NotVisibleError
from gateway.domain.records import Group, Membership, Subject
from gateway.flows.runs import year_bounds
from gateway.mapping.normalise import class_key
from gateway.reconcile.snapshot import load_records
from gateway.report.visible import Seen


class SyncAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks to be synchronised; nothing named = all that he reaches, which only the whole school can be."""

    class_name: str | None = None
    group: str | None = None
    pupil: str | None = None
    from_on: date | None = None
    to_on: date | None = None


def build_limited_want(conn: Connection, scope: Scope, place_id: int, asked: SyncAsked) -> Want:
    """Turn what was asked into a want within the scope.

    Raises:
        NotVisibleError: Part of it is outside of the scope, or nothing was named by one who does not reach the school.
    """
    first, last = year_bounds(scope.principal.on)
    want = Want(from_on=asked.from_on or first, to_on=asked.to_on or last)
    seen = Seen(conn, scope, place_id)
    if asked.pupil is not None:
        _require(conn, asked.pupil, seen.pupil_refs())
        want = msgspec.structs.replace(want, pupils=frozenset({asked.pupil}))
    if asked.group is not None:
        _require(conn, asked.group, seen.group_refs())
        want = _narrowed_to_group(conn, place_id, want, asked.group)
    if asked.class_name is not None:
        key = class_key(asked.class_name)
        led = {class_key(ref) for ref in conn.execute(scope.tied_refs()).scalars()} if not scope.is_whole else {key}
        if key is None or (scope.reach is not Reach.OWN_CLASS and not scope.is_whole) or key not in led:
            raise NotVisibleError("Такой записи нет")
        if not (want.class_names or frozenset({key})) >= {key}:
            raise NotVisibleError("Такой записи нет")
        want = msgspec.structs.replace(want, class_names=frozenset({key}))
    if scope.is_whole:
        return want
    # a pupil of one's own is not all that concerns him: the group, or the class that one leads, says how far
    is_bounded = asked.group is not None if scope.reach is not Reach.OWN_CLASS else asked.pupil or asked.class_name
    if not is_bounded:
        raise NotVisibleError("Такой записи нет")
    return want


def _require(conn: Connection, ref: str, mine: Select[Any]) -> None:
    if not conn.execute(select(literal(ref).in_(mine))).scalar_one():
        raise NotVisibleError("Такой записи нет")


def _narrowed_to_group(conn: Connection, place_id: int, want: Want, group_ref: str) -> Want:
    """A want knows classes, subjects and pupils: a group is its class and subject, and its pupils where others share both."""
    groups = load_records(conn, place_id, Group)
    group = next(one for one in groups if one.ref == group_ref)
    subjects = {one.ref: one.name for one in load_records(conn, place_id, Subject)}
    key = class_key(group.class_name)
    twins = [
        one
        for one in groups
        if one.ref != group.ref and one.subject == group.subject and (key is None or class_key(one.class_name) == key)
    ]
    members = frozenset(one.person for one in load_records(conn, place_id, Membership) if one.group == group_ref)
    pupils = want.pupils & members if want.pupils else members if twins or key is None else frozenset()
    if (want.pupils or twins or key is None) and not pupils:
        raise NotVisibleError("Такой записи нет")
    return msgspec.structs.replace(
        want,
        class_names=frozenset({key}) if key is not None else frozenset(),
        subjects=frozenset({subjects.get(group.subject, group.subject)}),
        pupils=pupils,
    )
