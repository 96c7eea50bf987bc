"""The sandbox city as a whole: its state, clock, switches, faults, sessions and pace, and what every write goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from gateway.sandbox.city.auth import Sessions
from gateway.sandbox.city.clock import SandboxClock
from gateway.sandbox.city.codecs import to_moscow_day
from gateway.sandbox.city.pace import RequestCounts, TokenBucket
from gateway.sandbox.city.rules import Refusal, refuse_gone, refuse_unknown
from gateway.sandbox.city.school import AID, School
from gateway.sandbox.city.seed import build_seed
from gateway.sandbox.city.state import Row, State, StateFile
from gateway.sandbox.city.switches import Switches, build_switches, to_switched
from gateway.sandbox.city.wire import SCHOOL_ID
from gateway.sandbox.faults import Faults

HUMAN = "human"


class RefusedError(Exception):
    """The city says no; carries the refusal to the edge that answers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.rule)
        self.refusal = refusal


def check(refusal: Refusal | None) -> None:
    """Stop here when there is a refusal.

    Raises:
        RefusedError: There is one.
    """
    if refusal is not None:
        raise RefusedError(refusal)


def get_known(row: Row | None, what: str) -> Row:
    """Give the row back, or refuse by V1.

    Raises:
        RefusedError: There is no such row, or it is deleted.
    """
    check(refuse_unknown(row, what))
    return cast("Row", row)


@dataclass(frozen=True)
class Actor:
    """Who writes: a profile through the interface, or a person in the city's own pages (no pace, no V5–V7)."""

    profile: Row | None
    request_id: str

    @property
    def is_human(self) -> bool:
        return self.profile is None


@dataclass(frozen=True)
class LikeSchool:
    """The city's side of a portal, and the school office's list that goes with it."""

    school: School
    pupils: list[Row] = field(default_factory=list)


class City:
    """One city with one school. Not thread-safe: a single event loop owns it."""

    def __init__(
        self,
        *,
        seed: int,
        state_file: Path | None,
        now: Callable[[], datetime] | None,
        rate_per_s: float | None,
        like: LikeSchool | None,
    ) -> None:
        self._rate_per_s = rate_per_s
        self.like = like
        self.seed = seed
        self.faults = Faults()
        self.counts = RequestCounts()
        self.bucket = TokenBucket()
        self.state = State(StateFile(state_file) if state_file is not None else None)
        self.clock = SandboxClock(now)
        self.sessions = Sessions(self.state)
        self.switches: Switches = build_switches(rate_per_s)
        self._members: dict[int, list[Row]] = {}
        if self.state.is_empty:
            self.reset(seed=seed, like=like)
        else:
            self._resume()

    def reset(self, *, seed: int, like: LikeSchool | None) -> None:
        """Begin anew: objects of the seed (or of the portal's likeness), empty ledger, no faults, default switches."""
        self.seed, self.like = seed, like
        school = like.school if like is not None else build_seed(seed)
        self.state.fill((kind, row) for kind, rows in school.rows.items() for row in rows)
        self.faults.clear()
        self.counts, self.bucket = RequestCounts(), TokenBucket()
        self.clock.offset_s = 0.0
        self.switches = build_switches(self._rate_per_s)
        self.sessions.open_all(seed)
        self.state.note("seed", seed)
        self.state.note("like", None if like is None else {"pupils": like.pupils})
        self.state.note("late", [])
        self.state.note("answers", {})
        self.keep_settings()
        self._index_members()

    def _resume(self) -> None:
        notes = self.state.notes
        self.seed = notes["seed"]
        self.clock.offset_s = notes["offset_s"]
        self.switches = Switches.model_validate(notes["switches"])
        self._index_members()

    def keep_settings(self) -> None:
        """Write clock and switches through to the file."""
        self.state.note("offset_s", self.clock.offset_s)
        self.state.note("switches", self.switches.model_dump())
        self.state.commit()

    def _index_members(self) -> None:
        self._members = {}
        for pupil in self.state.iter_rows("student_profiles"):
            for membership in pupil["groups"]:
                self._members.setdefault(membership["id"], []).append(pupil)

    def now(self) -> datetime:
        """Aware UTC."""
        return self.clock.now()

    def today(self) -> str:
        """The Moscow day, ISO."""
        return to_moscow_day(self.now())

    def stamp(self) -> str:
        """Now, as it is stored."""
        return self.now().isoformat()

    def list_members(self, group_id: int, day: str) -> list[Row]:
        """List the pupils of a group on a day."""
        return [
            pupil
            for pupil in self._members.get(group_id, [])
            for one in pupil["groups"]
            if one["id"] == group_id and one["begin_date"] <= day <= one["end_date"]
        ]

    def list_pupils_of(self, group_ids: Iterable[int]) -> set[int]:
        """The ids of all pupils who are or were in one of the groups."""
        return {pupil["id"] for group_id in group_ids for pupil in self._members.get(group_id, [])}

    def list_periods(self, group: Row) -> list[Row]:
        """List the periods of the schedule that the group points to."""
        schedule = self.state.find("attestation_periods_schedules", group["attestation_periods_schedule_id"])
        return list(schedule["periods"]) if schedule else []

    def visible(self, kind: str, group_ids: set[int] | None = None) -> list[Row]:
        """List what a reader sees; soft-deleted rows by switch."""
        rows = self.state.list_visible(kind, now=self.now(), group_ids=group_ids)
        if self.switches.soft_deleted == "listed":
            return rows
        return [row for row in rows if row.get("deleted_at") is None]

    def accept(self, actor: Actor, op: str, kind: str, row: Row, **facts: Any) -> Row:
        """Take a write: store the object, write the ledger, make both durable.

        Args:
            actor: Who writes.
            op: create, change or delete.
            kind: The kind's name in the state (plural).
            row: The whole object as it is from now on.
            facts: What else the ledger tells of it.
        """
        self.state.put(kind, row, now=self.now(), lag_s=self.switches.read_lag_s)
        cell = {name: row.get(name) for name in ("student_profile_id", "schedule_lesson_id")}
        self.state.append(
            {
                "at": self.stamp(),
                "op": op,
                "kind": LEDGER_KINDS[kind],
                "id": row["id"],
                "cell": cell,
                "value": facts.get("value"),
                "weight": row.get("weight"),
                "control_form_id": row.get("control_form_id"),
                "actor": HUMAN if actor.profile is None else actor.profile["id"],
                "request_id": actor.request_id,
                "group_id": row.get("group_id"),
            }
        )
        self.state.commit()
        return row

    def switch(self, changes: dict[str, Any]) -> None:
        """Change switches, all or none.

        Raises:
            SwitchError: An unknown name or value.
        """
        before, self.switches = self.switches, to_switched(self.switches, changes)
        if before.republish_lesson_ids == "off" and self.switches.republish_lesson_ids == "on":
            self._republish()
        self.keep_settings()

    def _republish(self) -> None:
        """Publish the timetable anew: every lesson gets another id, what hangs on it follows."""
        renamed = {row["id"]: 0 for row in list(self.state.iter_rows("schedule_items"))}
        for old_id in renamed:
            renamed[old_id] = self.state.rename("schedule_items", old_id)
        for kind in ("marks", "attendances", "lesson_comments"):
            for row in list(self.state.iter_rows(kind)):
                moved = {**row, "schedule_lesson_id": renamed[row["schedule_lesson_id"]]}
                self.state.put(kind, moved, now=self.now())
        self.state.commit()

    def delay(self, command: Row) -> None:
        """Keep a write that its sender believes lost; it lands `late_s` from now."""
        due_at = (self.now() + timedelta(seconds=self.switches.late_s)).isoformat()
        self.state.note("late", [*self.state.notes["late"], {**command, "due_at": due_at}])
        self.state.commit()

    def take_due(self) -> list[Row]:
        """Take the delayed writes whose time has come, oldest first."""
        now = self.now()
        waiting = self.state.notes["late"]
        due = [one for one in waiting if datetime.fromisoformat(one["due_at"]) <= now]
        if due:
            self.state.note("late", [one for one in waiting if one not in due])
            self.state.commit()
        return due

    def describe(self) -> dict[str, Any]:
        """What a client needs to come in: profiles with tokens, the same for the same seed. `base_url` is the server's."""
        profiles = self.sessions.described()
        return {
            "sandbox": "city",
            "base_url": None,
            "seed": self.seed,
            "aid": AID,
            "school_id": SCHOOL_ID,
            "rate": self.switches.rate,
            "profiles": profiles,
            "tokens": {str(one["profile_id"]): one["token"] for one in profiles},
        }


LEDGER_KINDS = {
    "marks": "mark",
    "attendances": "attendance",
    "homeworks": "homework",
    "final_marks": "final_mark",
    "lesson_comments": "lesson_comment",
    "lesson_plans": "lesson_plan",
    "calendar_plans": "calendar_plan",
}
STATE_KINDS = {singular: plural for plural, singular in LEDGER_KINDS.items()}


@dataclass(frozen=True)
class Order:
    """An admitted write: who wants what of which object. A delayed write is the very same order at a later moment."""

    city: City
    actor: Actor
    object_id: int | None
    body: Row


Command = Callable[[Order], Row]


def get_stored(city: City, kind: str, object_id: Any) -> Row:
    """Give the living object that is to be changed or deleted.

    Raises:
        RefusedError: There is none, or it is deleted already (V13).
    """
    row = city.state.find(kind, object_id)
    check(refuse_gone(row))
    return cast("Row", row)
