"""The school around the discrepancies of a benchmark: its pupils, their links, the city's directory, and who looks at them.

Without it a page would cost nothing that a real one does: no name is put to a row, and nobody's look is written down.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from gateway.access.accounts import add_account, give_role
from gateway.access.looks import note_looks
from gateway.access.policy import Action
from gateway.access.roles import Role
from gateway.access.scope import Principal, Scope, permit
from gateway.bootstrap import build_office
from gateway.connectors.port import CityDirectory, ScopeRead
from gateway.domain.city import CityForm, CityGroup, CityMembership, CityPupil, CityTeacher, CityYear
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind, scope_key
from gateway.domain.records import Person
from gateway.flows.gateway import Gateway
from gateway.mapping.links import confirm
from gateway.reconcile.snapshot import store_scope
from gateway.reconcile.tables import city_directory
from gateway.report.pupils import load_city_ids

PUPILS = 1_000
A_CLASS = 25
GROUPS_A_PUPIL = 10
TEACHERS = 80


def pupil_of(number: int) -> int:
    """Whose the record of this number is."""
    return number % PUPILS + 1


def fill_school(gateway: Gateway, place_id: int, groups: int) -> None:
    """Store a thousand pupils, their links and the city's directory with so many groups."""
    now = gateway.store.now()
    people = [
        Person(
            ref=f"user:{one}", role="pupil", last_name=f"Фамилия{one}", first_name="Имя", middle_name="Отчество",
            class_name=_class_of(one), person_id=f"person-{one}",
        )
        for one in range(1, PUPILS + 1)
    ]  # fmt: skip
    read = ScopeRead(scope=scope_key(Kind.PERSON, "site"), kind=Kind.PERSON, read_at=now, records=people)
    directory = msgspec.json.encode(_build_directory(groups, moscow_day(now)))
    with gateway.store.write() as conn:
        store_scope(conn, place_id, read, run_id=1)
        for one in people:
            city_id = int(one.ref.partition(":")[2])
            confirm(conn, place_id, Kind.PERSON, one.ref, city_id, actor="office", how="roster", evidence={}, now=now)
        conn.execute(insert(city_directory).values(place_id=place_id, body=directory, read_at=now))


class Looker:
    """A deputy head at the door, with the entries that his looks leave."""

    def __init__(self, gateway: Gateway, place_id: int) -> None:
        office = build_office(gateway)
        made = add_account(office, "deputy", password=None)
        give_role(office, "deputy", Role.DEPUTY_HEAD)
        self._gateway, self._place_id = gateway, place_id
        self._who = Principal(
            account_id=made.id, login="deputy", role=Role.DEPUTY_HEAD, place=gateway.place,
            on=moscow_day(gateway.now()), via="session",
        )  # fmt: skip

    def permit(self, conn: Connection) -> Scope:
        """Ask the policy, as each request does."""
        return permit(conn, self._who, Action.DISCREPANCIES_READ, now=self._gateway.store.now(conn))

    def note(self, conn: Connection, scope: Scope, pupils: set[str]) -> None:
        """Write whose data were shown, as each request does before it answers."""
        cities: Any = load_city_ids(conn, self._place_id)
        audit = self._gateway.audit
        note_looks(conn, audit, scope, pupils, cities, object_type="discrepancy", request_id="benchmark")


def _class_of(pupil: int) -> str:
    number = (pupil - 1) // A_CLASS
    return f"{number // 4 + 1}{'АБВГ'[number % 4]}"


def _build_directory(groups: int, today: date) -> CityDirectory:
    taught: dict[int, list[int]] = {one: [] for one in range(groups)}
    for pupil in range(1, PUPILS + 1):
        for subject in range(GROUPS_A_PUPIL):
            taught[(pupil // A_CLASS * GROUPS_A_PUPIL + subject) % groups].append(pupil)
    year = today.year if today.month >= 9 else today.year - 1
    return CityDirectory(
        year=CityYear(id=1, name="год", begins_on=date(year, 9, 1), ends_on=date(year + 1, 5, 31), is_current=True),
        periods=(),
        classes=(),
        subjects=(),
        groups=tuple(
            CityGroup(
                id=one, name=f"группа {one}", subject_id=1, subject_name="Алгебра", class_ids=(1,),
                class_name=_class_of(inside[0]) if inside else None, level=7, schedule_id=None, teacher_ids=(1,),
                pupil_ids=tuple(inside),
            )
            for one, inside in taught.items()
        ),
        teachers=tuple(
            CityTeacher(id=one, last_name="Учителев", first_name="Имя", middle_name=None)
            for one in range(1, TEACHERS + 1)
        ),
        pupils=tuple(
            CityPupil(
                id=one, person_id=f"person-{one}", last_name=f"Фамилия{one}", first_name="Имя", middle_name=None,
                birth_on=None, class_id=1, class_name=_class_of(one), is_active=True,
                memberships=tuple(CityMembership(group_id=group) for group, inside in taught.items() if one in inside),
            )
            for one in range(1, PUPILS + 1)
        ),
        forms=(
            CityForm(id=1, name="Тест", weight=1, grade_system_id=1, grade_system="five", subject_id=1, level=2),
        ),
    )  # fmt: skip


__all__ = ["PUPILS", "Looker", "fill_school", "pupil_of"]
