"""Bodies and objects of the routes of people's work, for the test that asks every route in every role."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityYear
from gateway.domain.identifiers import Kind
from gateway.domain.records import to_body
from gateway.domain.school_year import SchoolYear
from gateway.flows.holds import place_hold
from gateway.mapping.calendars import save_year
from gateway.mapping.links import confirm, load_links
from gateway.reconcile.holds import load_holds
from gateway.reconcile.tables import choice_act, city_directory, correction, discrepancy, hold, plan, run

WHY = "проверка таблицы прав"


def find_body(school: Any, method: str, path: str, name: str) -> dict[str, Any] | None:
    """The body that is right for a route of this module; None = it has none."""
    until = (school.clock.now() + timedelta(days=5)).isoformat()
    if path.endswith("/removal"):
        linked(school)
    if path.endswith("/preview") or path.startswith("/emptied"):
        store_directory(school)
    if path == "/calendar":
        store_calendar(school)
    if method != "POST":
        return None
    if path.startswith("/discrepancies/"):
        ids = {"ids": [int(name)], "reason": WHY}
        more = {"assignee": "director"} if path.endswith("/assignments") else {"whom": "city_helpdesk", "until": until}
        return {**ids, **more}
    if path == "/holds":
        return {"kind": "mark", "class_name": "7А", "until": until, "reason": WHY}
    if path.endswith(("/lifting", "/removal", "/emptied/confirmation")):
        return {"reason": WHY}
    if path == "/emptied":
        return {}
    return None


def is_known(path: str) -> bool:
    """Whether the route is one of this module."""
    starts = ("/holds", "/tasks", "/guards", "/discrepancies/assignments", "/discrepancies/waiting", "/emptied")
    return path.startswith((*starts, "/schedules", "/calendar")) or path.endswith(("/preview", "/removal"))


def find_objects(school: Any, is_whole: bool, kind: str) -> tuple[str, str, str] | None:
    """An own, a foreign and an unknown object of a kind of this module; None = the kind is not one of its."""
    mine, theirs = school.place_ids
    if kind == "schedule":
        return "everything", "no-such", "no-other"
    if kind == "hold":
        return str(held(school, mine)), str(held(school, theirs)), "99999"
    if kind == "undone run":
        return str(undone(school, mine, 1)), str(undone(school, theirs, 2)), "99999"
    if kind == "task":
        own = {place_id: corrected(school, place_id) for place_id in (mine, theirs)}
        foreign = own[theirs]["mark:1:user:1"] if is_whole else own[mine]["mark:3:user:5"]
        return str(own[mine]["mark:1:user:1"]), str(foreign), "99999"
    return None


def kept_choices(school: Any, account: str, *, is_whole: bool) -> tuple[str, str, str]:
    """Numbers of choices about many: this account's own, another's or one of the other school, and none."""
    mine, theirs = school.place_ids
    now = school.clock.now()
    with school.gateway.store.write() as conn:
        own, foreign = (
            conn.execute(
                insert(choice_act)
                .values(
                    place_id=place_id, choice="ours", is_removing=False, actor_kind="person", actor=actor,
                    is_authenticated=True, note_id=1, asked=1, taken=0, left_out=[[99999, "moved"]], made_at=now,
                    finished_at=now,
                )
                .returning(choice_act.c.id)
            ).scalar_one()
            for place_id, actor in ((mine, account), (theirs, account) if is_whole else (mine, "account:999"))
        )  # fmt: skip
    return str(own), str(foreign), "99999"


def set_back(school: Any) -> None:
    """What these routes leave behind: the next test begins where this one did."""
    linked(school)
    with school.gateway.store.write() as conn:
        conn.execute(delete(city_directory))
        conn.execute(delete(correction))


def held(school: Any, place_id: int) -> int:
    """Number of a hold that is in force; a new one where the last was lifted."""
    now = school.clock.now()
    with school.gateway.store.write() as conn:
        found = load_holds(conn, place_id, now=now)
        if found:
            return found[0].id
        if place_id != school.place_ids[0]:
            values = {"place_id": place_id, "kind": "mark", "owner": "x", "placed_at": now}
            added = conn.execute(insert(hold).values(until=now + timedelta(days=5), **values).returning(hold.c.id))
            return int(added.scalar_one())
    linked(school)
    return place_hold(school.gateway, reason=WHY, until=now + timedelta(days=5), ref="mark:1:user:1", pupil="user:1").id


def linked(school: Any) -> None:
    """Link user:1 where an earlier call has taken his link away."""
    place_id = school.place_ids[0]
    with school.gateway.store.write() as conn:
        if "user:1" not in load_links(conn, place_id, Kind.PERSON):
            now = school.clock.now()
            confirm(conn, place_id, Kind.PERSON, "user:1", 1001, actor="office", how="roster", evidence={}, now=now)


def undone(school: Any, place_id: int, number: int) -> int:
    """Number of a run that a plan of this place undoes, with a record that is kept undone by it."""
    now = school.clock.now()
    with school.gateway.store.write() as conn:
        run_id = conn.execute(select(run.c.id).where(run.c.place_id == place_id).limit(1)).scalar_one()
        conn.execute(update(plan).where(plan.c.id == number).values(undoes=run_id))
        conn.execute(delete(hold).where(hold.c.plan_id == number))
        conn.execute(
            insert(hold).values(
                place_id=place_id, kind="mark", ref="mark:9:user:9", owner="x", placed_at=now,
                until=now + timedelta(days=300), plan_id=number,
            )
        )  # fmt: skip
    return int(run_id)


def corrected(school: Any, place_id: int) -> dict[str, int]:
    """Lay the city's word over every discrepancy's record: ref → number of the task."""
    with school.gateway.store.write() as conn:
        rows = conn.execute(select(discrepancy).where(discrepancy.c.place_id == place_id)).all()
        conn.execute(delete(correction).where(correction.c.place_id == place_id))
        for row in rows:
            conn.execute(
                insert(correction).values(
                    place_id=place_id, kind=row.kind, ref=row.ref, corrected=row.ours, atom=None, actor="account:1",
                    made_at=school.clock.now(), discrepancy_id=row.id,
                )
            )  # fmt: skip
    return {row.ref: row.id for row in rows}


def store_directory(school: Any) -> None:
    """A city of no groups: what a version makes of records is asked without calling it."""
    year = CityYear(
        id=1, name="2026/27", begins_on=school.clock.now().date(), ends_on=school.clock.now().date(), is_current=True
    )
    found = CityDirectory(year=year, periods=(), classes=(), subjects=(), groups=(), teachers=(), pupils=(), forms=())
    with school.gateway.store.write() as conn:
        conn.execute(delete(city_directory))
        values = {"place_id": school.place_ids[0], "body": to_body(found), "read_at": school.clock.now()}
        conn.execute(insert(city_directory).values(**values))


def store_calendar(school: Any) -> None:
    """The imported calendar of the place's year."""
    year = SchoolYear(year=school.gateway.place.year, from_on=date(2026, 9, 1), to_on=date(2027, 5, 26))
    with school.gateway.store.write() as conn:
        save_year(conn, year, source="calendar.xlsx", actor="office", now=school.clock.now())
