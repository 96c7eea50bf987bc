"""What waits, over several plans: of each scope the newest plan that looked at it, never a dry run or an undo."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select

from gateway.access.roles import Role, Tie
from gateway.connectors.port import CityDirectory, CityYear, Want
from gateway.domain.identifiers import Kind
from gateway.reconcile.tables import city_directory, decision, decision_scope, plan, relink, run

YEAR = CityYear(id=1, name="2026/27", is_current=True, begins_on=date(2026, 9, 1), ends_on=date(2027, 5, 31))
WHOLE = Want(from_on=YEAR.begins_on, to_on=YEAR.ends_on)


@pytest.fixture
def office(school: Any) -> Any:
    """A school with a director and a curator of course:1, whose plan 1 holds a decision for each mark."""
    return admit(school)


def admit(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    empty = {
        field.name: () for field in msgspec.structs.fields(CityDirectory) if field.required and field.name != "year"
    }
    body = msgspec.json.encode({**empty, "year": YEAR})
    with school.gateway.store.write() as conn:
        conn.execute(insert(city_directory).values(place_id=school.place_ids[0], body=body, read_at=school.clock.now()))
    return school


def add_plan(school: Any, want: Want, refs: dict[str, str], settled: tuple[str, ...] = (), **more: Any) -> int:
    """A later sealed plan: a decision of this category for each ref, and scopes in which nothing is left to decide."""
    now, place_id = school.clock.now(), school.place_ids[0]
    with school.gateway.store.write() as conn:
        run_id = conn.execute(
            insert(run)
            .values(place_id=place_id, form="sync", state="done", actor="operator", want=msgspec.to_builtins(want),
                    started_at=now, counters={}, problems=[])
            .returning(run.c.id)
        ).scalar_one()  # fmt: skip
        values = {
            "place_id": place_id, "run_id": run_id, "state": "ready", "hash": "c" * 64, "created_at": now,
            "expires_at": now + timedelta(hours=18), "rule_version": "r", "epoch": 1, "counters": {}, "by_reason": {},
            "guards": [], "is_dry_run": False, "needs_approval": False, "open_gates": ["none"], **more,
        }  # fmt: skip
        number: int = conn.execute(insert(plan).values(**values).returning(plan.c.id)).scalar_one()
        old = {row.ref: row for row in conn.execute(select(decision).where(decision.c.plan_id == 1))}
        for seq, (ref, category) in enumerate(refs.items(), 1):
            row = {**old[ref]._mapping, "plan_id": number, "seq": seq, "category": category}
            conn.execute(insert(decision).values(**row))
        for scope in settled:
            values = {"plan_id": number, "scope": scope, "reason": "NO_CHANGE", "count": 2, "digest": bytes(16)}
            conn.execute(insert(decision_scope).values(**values))
    return number


def shown(school: Any, login: str = "director") -> set[tuple[int, str]]:
    items = school.call(login).get("/decisions").json()["items"]
    return {(one["plan_id"], one["ref"]) for one in items}


def of_plan_1(*groups: int) -> set[tuple[int, str]]:
    pupils = {1: (1, 2), 2: (3, 4), 3: (5, 6), 4: (1, 3)}
    return {(1, f"mark:{group}:user:{pupil}") for group in groups for pupil in pupils[group]}


def scope(school: Any, group: int) -> str:
    with school.gateway.store.read() as conn:
        query = select(decision.c.scope).where(decision.c.ref.startswith(f"mark:{group}:"), decision.c.plan_id == 1)
        return str(conn.execute(query.limit(1)).scalar_one())


def test_a_plan_of_one_class_replaces_only_its_own_scopes(office: Any) -> None:
    narrow = msgspec.structs.replace(WHOLE, class_names=frozenset({"7А"}))
    number = add_plan(office, narrow, {"mark:1:user:1": "held"})

    assert shown(office) == of_plan_1(2, 3, 4) | {(number, "mark:1:user:1")}
    assert shown(office, "curator") == of_plan_1(2) | {(number, "mark:1:user:1")}


def test_a_scope_in_which_nothing_waits_any_more_is_empty_and_the_others_stand(office: Any) -> None:
    narrow = msgspec.structs.replace(WHOLE, class_names=frozenset({"7А"}))
    add_plan(office, narrow, {}, settled=(scope(office, 1),))

    assert shown(office) == of_plan_1(2, 3, 4)


@pytest.mark.parametrize("more", [{"is_dry_run": True}, {"undoes": 1}], ids=["dry run", "undo"])
def test_a_dry_run_and_an_undo_replace_nothing(office: Any, more: dict[str, Any]) -> None:
    add_plan(office, WHOLE, {"mark:1:user:1": "held"}, settled=(scope(office, 2),), **more)

    assert shown(office) == of_plan_1(1, 2, 3, 4)


def test_the_plan_of_a_corrected_link_replaces_nothing(office: Any) -> None:
    number = add_plan(office, WHOLE, {"mark:1:user:1": "waiting"})
    with office.gateway.store.write() as conn:
        conn.execute(
            relink.update().where(relink.c.place_id == office.place_ids[0]).values(plan_id=number, state="approved")
        )

    assert shown(office) == of_plan_1(1, 2, 3, 4)


def test_a_plan_of_the_whole_school_replaces_everything_even_scopes_that_it_has_no_row_of(office: Any) -> None:
    number = add_plan(office, WHOLE, {"mark:1:user:2": "held", "mark:1:user:1": "create"})

    assert shown(office) == {(number, "mark:1:user:2")}


def test_a_whole_plan_of_another_kind_says_nothing_about_marks(office: Any) -> None:
    add_plan(office, msgspec.structs.replace(WHOLE, kinds=frozenset({Kind.HOMEWORK})), {})

    assert shown(office) == of_plan_1(1, 2, 3, 4)


def test_a_plan_of_a_pupil_or_of_some_days_replaces_only_the_records_that_it_names(office: Any) -> None:
    pupil = msgspec.structs.replace(WHOLE, pupils=frozenset({"user:1"}))
    first = add_plan(office, pupil, {"mark:1:user:1": "waiting"})
    days = msgspec.structs.replace(WHOLE, from_on=date(2026, 11, 20))
    second = add_plan(office, days, {"mark:3:user:5": "update"})

    assert second > first
    changed = {(1, "mark:1:user:1"), (1, "mark:3:user:5")}
    assert shown(office) == of_plan_1(1, 2, 3, 4) - changed | {(first, "mark:1:user:1")}


def test_what_was_let_out_in_spite_of_a_guard_does_not_wait(office: Any) -> None:
    with office.gateway.store.write() as conn:
        conn.execute(
            decision.update()
            .where(decision.c.plan_id == 1, decision.c.ref.startswith("mark:1:"))
            .values(outcome="queued")
        )

    assert shown(office) == of_plan_1(2, 3, 4)


def test_pages_over_two_plans_hold_each_line_once(office: Any) -> None:
    number = add_plan(office, msgspec.structs.replace(WHOLE, class_names=frozenset({"7А"})), {"mark:1:user:1": "held"})
    caller, found, after = office.call("director"), [], 0
    while after is not None:
        page = caller.get("/decisions", params={"limit": 2, "after": after}).json()
        found += [(one["plan_id"], one["ref"]) for one in page["items"]]
        after = page["next"]

    assert len(found) == 7
    assert set(found) == of_plan_1(2, 3, 4) | {(number, "mark:1:user:1")}


def test_without_a_sealed_plan_nothing_is_shown(office: Any) -> None:
    with office.gateway.store.write() as conn:
        conn.execute(plan.update().where(plan.c.place_id == office.place_ids[0]).values(hash=None))

    assert shown(office) == set()


def test_narrow_plans_and_pages_are_the_same_on_both_databases(database_url: str, storing: Any, tmp_path: Any) -> None:
    settings = storing.settings(tmp_path, database={"url": database_url})
    with storing.served(settings, tmp_path) as school:
        with school.gateway.store.write() as conn:
            storing.schools(conn, school.gateway)
        office = admit(school)
        if office.gateway.settings.database.url.startswith("postgresql"):
            with office.gateway.store.write() as conn:
                # rows with numbers of their own were put in past the sequence
                conn.exec_driver_sql("SELECT setval(pg_get_serial_sequence('plan', 'id'), 100)")
        first = add_plan(
            office, msgspec.structs.replace(WHOLE, class_names=frozenset({"7А"})), {"mark:1:user:1": "held"}
        )
        days = msgspec.structs.replace(WHOLE, from_on=date(2026, 11, 20))
        add_plan(office, days, {"mark:3:user:5": "update"})

        assert shown(office) == of_plan_1(2, 3, 4) - {(1, "mark:3:user:5")} | {(first, "mark:1:user:1")}
        last = office.call("director").get("/decisions", params={"after": 2**55 - 1})
        assert (last.status_code, last.json()["items"]) == (200, [])
