"""The people and the weather on stage: teachers, persons at the city's own pages, the operator, outages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from gateway import __version__
from gateway.audit.deed import Actor as Doer
from gateway.domain.clock import moscow_day
from gateway.domain.errors import GatewayError
from gateway.domain.identifiers import Kind
from gateway.flows.backup import Manifest
from gateway.flows.gateway import Gateway
from gateway.flows.restore import begin_epoch
from gateway.queue.approval import approve
from gateway.queue.barrier import wake
from gateway.queue.parking import load_operations, replay
from gateway.queue.pauses import lift
from gateway.reconcile.plan import find_plan_id, load_plan
from gateway.reconcile.tables import decision
from gateway.sandbox.city.school import AID
from gateway.sandbox.city.state import Row
from gateway.simulation.bodies import plan_modules
from gateway.simulation.machines import let_out_approved
from gateway.simulation.portal import ABSENCE_VALUE
from gateway.simulation.school import LATE, LESSON_DAYS, STATE_KINDS, YEAR_PERIOD, Place, is_late, value_of_row
from gateway.simulation.stage import Actor
from gateway.simulation.world import CITY, World

OPERATOR = Doer(kind="os_user", name="operator")
MARKS = ("2", "3", "4", "5")
FIRST_FILL_RATIO = 0.4
PAGES = (("marks", "mark"), ("marks", "mark"), ("attendances", "attendance"))
"""What a person edits in the city's pages, by its name there and in a call."""
CHOSEN_PAGES = (
    ("final_marks", "final_mark"),
    ("lesson_comments", "lesson_comment"),
    ("lesson_plans", "lesson_plan"),
)
TOPICS = tuple(f"Тема {number}" for number in range(1, 5))
REMARKS = ("молодец", "не готов", "без тетради")
NEVER_CLEARED = (Kind.HOMEWORK, Kind.TOPICS)
REPLAYED = ("POISON", "TOO_MANY_ATTEMPTS", "NOT_SEEN_AFTER_ACCEPT")
"""What an operator simply lets be decided afresh: no person's question stands behind it."""


_MANIFEST = Manifest(
    format=1,
    dialect="sqlite",
    instance_id="00000000-0000-0000-0000-000000000001",
    epoch=1,
    revision="",
    audit={},
    made_at=datetime(2026, 11, 11, tzinfo=UTC),
    code_version=__version__,
    size_bytes=0,
    sha256="0" * 64,
)


class Teacher:
    """Types in the portal: sets, changes, clears; now and then a pupil leaves and comes back."""

    def __init__(self, world: World) -> None:
        self._world = world

    def play(self) -> None:
        world, stage, rng = self._world, self._world.stage, self._world.stage.rng
        for place in world.school.places:
            if rng.random() < FIRST_FILL_RATIO or place.kind in NEVER_CLEARED:
                world.portal.set(place, self._value(place))
        while True:
            stage.sleep(rng.expovariate(1.0 / world.climate.teacher_gap_s))
            if not stage.is_stormy:
                return
            for _ in range(rng.choice((1, 1, 1, 2, 5))):
                place = rng.choice(world.school.places)
                is_clearing = place.kind not in NEVER_CLEARED and rng.random() < 0.25
                world.portal.set(place, None if is_clearing else self._value(place))

    def _value(self, place: Place) -> str:
        rng = self._world.stage.rng
        if place.kind in (Kind.MARK, Kind.FINAL):
            return rng.choice(MARKS)
        if place.kind is Kind.COMMENT:
            return LATE if is_late(place) else rng.choice(REMARKS)
        if place.kind is Kind.TOPICS:
            return self._topics(place)
        return ABSENCE_VALUE if place.kind is Kind.ABSENCE else f"§ {rng.randrange(1, 6)}"

    def _topics(self, place: Place) -> str:
        """Another topic at one of the lessons; at first a topic at each."""
        rng, now = self._world.stage.rng, self._world.portal.causes[place.key].now
        topics = [rng.choice(TOPICS) for _ in LESSON_DAYS] if now is None else now.split("\n")
        topics[rng.randrange(len(topics))] = rng.choice(TOPICS)
        return "\n".join(topics)


class Office:
    """Unenrols a pupil at the portal and enrols him again."""

    def __init__(self, world: World) -> None:
        self._world = world

    def play(self) -> None:
        stage, portal = self._world.stage, self._world.portal
        refs = [pupil.ref for group in self._world.school.groups for pupil in group.pupils]
        while True:
            stage.sleep(stage.rng.expovariate(1.0 / self._world.climate.leaves_gap_s))
            if not stage.is_stormy:
                return
            ref = stage.rng.choice(refs)
            if ref in portal.absent_pupils:
                portal.absent_pupils.discard(ref)
            else:
                portal.absent_pupils.add(ref)
                portal.left_once.add(ref)
            stage.note(f"enrolment of {ref}")


class Stranger:
    """A person at the city's own pages: types, changes value or form, deletes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def play(self) -> None:
        stage = self._world.stage
        while True:
            stage.sleep(stage.rng.expovariate(1.0 / self._world.climate.human_gap_s))
            if not stage.is_stormy:
                return
            self._world.city.type_by_hand(self._edit())

    def _edit(self) -> Row:
        rng, city = self._world.stage.rng, self._world.city
        kind, singular = rng.choice(PAGES + (CHOSEN_PAGES if self._world.school.has_chosen else ()))
        if (kind, singular) in CHOSEN_PAGES:
            return self._edit_chosen(kind, singular)
        standing = city.standing(kind)
        if not standing or rng.random() < 0.35:
            place = rng.choice(
                [
                    one
                    for one in self._world.school.places
                    if one.kind.value == ("mark" if kind == "marks" else "absence")
                ]
            )
            cell = {"student_profile_id": place.key[1], "schedule_lesson_id": place.key[2]}
            if kind == "attendances":
                return {"op": "create", "kind": singular, "cell": cell, "value": 2}
            form = {"control_form_id": place.form_id, "weight": place.weight}
            return {"op": "create", "kind": singular, "cell": cell, "value": rng.choice(MARKS), **form}
        row = rng.choice(standing)
        if rng.random() < 0.3:
            return {"op": "delete", "kind": singular, "id": row["id"]}
        if kind == "attendances":
            return {"op": "change", "kind": singular, "id": row["id"], "value": 3 - row["absence_reason_id"]}
        return {"op": "change", "kind": singular, "id": row["id"], "value": rng.choice(MARKS)}

    def _edit_chosen(self, kind: str, singular: str) -> Row:
        """Types, corrects or deletes a final mark or a remark; types or takes back a lateness; rewrites a lesson plan."""
        if kind == "lesson_plans":
            return self._edit_plan(singular)
        rng, school = self._world.stage.rng, self._world.school
        standing = self._world.city.standing(kind)
        if standing and rng.random() < 0.5:
            row = rng.choice(standing)
            is_fixed = kind == "lesson_comments" and row["comment"] == LATE
            is_corrected = not is_fixed and rng.random() < 0.6
            corrected = {"value": rng.choice(MARKS if kind == "final_marks" else REMARKS)} if is_corrected else {}
            return {"op": "change" if is_corrected else "delete", "kind": singular, "id": row["id"], **corrected}
        place = rng.choice([one for one in school.places if STATE_KINDS[one.kind] == kind])
        if kind == "lesson_comments":
            cell = {"schedule_lesson_id": place.key[2]}
            value = LATE if is_late(place) else rng.choice(REMARKS)
            return {"op": "create", "kind": singular, "student_id": place.key[1], "cell": cell, "value": value}
        return {
            "op": "create",
            "kind": singular,
            "student_profile_id": place.key[1],
            "subject_id": school.subject_id,
            "academic_year_id": AID,
            "attestation_period_id": place.key[2] or None,
            "is_year_mark": place.key[2] == YEAR_PERIOD,
            "value": rng.choice(MARKS),
        }

    def _edit_plan(self, singular: str) -> Row:
        """Writes another topic into a plan, or all of them into an empty one; now and then empties it."""
        rng = self._world.stage.rng
        row = rng.choice(self._world.city.standing("lesson_plans"))
        standing = value_of_row("lesson_plans", row)
        topics = standing.split("\n") if standing else [rng.choice(TOPICS) for _ in LESSON_DAYS]
        topics[rng.randrange(len(topics))] = rng.choice(TOPICS)
        modules = [] if standing and rng.random() < 0.1 else plan_modules("Раздел 1", topics)
        return {"op": "change", "kind": singular, "id": row["id"], "modules": modules}


class Weather:
    """Maintenance windows, dead sessions, the closing of the period."""

    def __init__(self, world: World) -> None:
        self._world = world

    def close_for_repair(self) -> None:
        """The city is closed for repair, again and again."""
        stage, sky = self._world.stage, self._world.sky
        while True:
            stage.sleep(stage.rng.expovariate(1.0 / self._world.climate.outage_gap_s))
            if not stage.is_stormy:
                return
            sky.is_closed = True
            stage.note("city closed")
            stage.sleep(stage.rng.uniform(60.0, 5400.0))
            sky.is_closed = False
            stage.note("city open")

    def end_sessions(self) -> None:
        """The session is superseded by a person's log-in."""
        stage = self._world.stage
        while True:
            stage.sleep(stage.rng.expovariate(1.0 / self._world.climate.token_gap_s))
            if not stage.is_stormy:
                return
            self._world.sky.is_token_dead = True
            stage.note("token dead")

    def close_period(self) -> None:
        """The deputy head closes the period."""
        at_s = self._world.climate.closes_at_s
        if at_s is None:
            return
        self._world.stage.sleep(at_s)
        self._world.city.close_period(self._world.school.days[0].isoformat())
        self._world.oracle.closes_at_s = self._world.stage.elapsed_s
        self._world.stage.note("period closed")


class Operator:
    """Approves, renews the token, lets parked operations be decided afresh, restores a backup."""

    def __init__(self, world: World) -> None:
        self._world = world

    def play(self) -> None:
        stage = self._world.stage
        gateway = self._world.open_gateway("operator")
        while True:
            stage.sleep(stage.rng.expovariate(1.0 / 5400.0))
            if not stage.is_stormy:
                return
            self.renew(gateway)
            self.approve(gateway, is_whole=stage.rng.random() < 0.5)
            if stage.rng.random() < 0.3:
                self.replay(gateway)

    def renew(self, gateway: Gateway) -> None:
        """Put a fresh token there and go on."""
        self._world.sky.is_token_dead = False
        with gateway.store.write() as conn:
            lift(conn, CITY)
            wake(conn, gateway.place_id(conn), now=gateway.store.now(conn))

    def approve(self, gateway: Gateway, *, is_whole: bool) -> bool:
        """Approve the newest plan, as shown; False where there is nothing to approve or it is refused."""
        with gateway.store.read() as conn:
            known = "SELECT id FROM place WHERE year = ?"
            place_id = conn.exec_driver_sql(known, (gateway.place.year,)).scalar_one_or_none()
            plan_id = None if place_id is None else find_plan_id(conn, place_id)
            if plan_id is None:
                return False
            shown = load_plan(conn, plan_id)
            gates = set(conn.execute(select(decision.c.gate).where(decision.c.plan_id == plan_id)).scalars())
        if not shown.needs_approval and not gates & {"delete", "guard"}:
            return False
        self._world.oracle.note_sealed()
        self._world.oracle.note_approving(plan_id, is_whole=is_whole)
        try:
            approve(
                gateway.store,
                gateway.audit,
                gateway.place,
                plan_id,
                reason="проверено",
                with_deletes=is_whole,
                with_held=is_whole,
                actor=OPERATOR,
            )
            self._world.stage.note(f"approved {plan_id} {'whole' if is_whole else 'in part'}")
            self._world.counts.approvals += 1
            let_out_approved(gateway)
        except GatewayError as error:
            self._world.stage.note(f"approval refused {error.reason_code}")
            return False
        self._world.wake_workers()
        return True

    def replay(self, gateway: Gateway) -> None:
        """Let what no person has a question about be decided afresh."""
        with gateway.store.write() as conn:
            rows = load_operations(conn, gateway.place_id(conn), state="parked", limit=100)
        for row in rows:
            if row.reason in REPLAYED:
                try:
                    replay(gateway.store, gateway.ledger, row.id, actor=OPERATOR)
                except GatewayError:
                    continue
                self._world.counts.replays += 1


class Restorer:
    """Makes a backup and puts it back hours later, with everything stopped around it as the runbook says."""

    def __init__(self, world: World, machines: Sequence[Actor]) -> None:
        self._world = world
        self._machines = machines

    def play(self) -> None:
        world, stage = self._world, self._world.stage
        horizon_s = world.climate.horizon_s
        back_s = stage.rng.uniform(0.3, 0.9) * horizon_s
        made_s = stage.rng.uniform(0.1 * horizon_s, back_s)
        stage.sleep(made_s)
        image = world.store.snapshot()
        stage.note("backup made")
        stage.sleep(back_s - made_s)
        for machine in self._machines:
            stage.doom(machine)
        world.store.restore(image)
        stage.note("backup restored")
        world.counts.restores += 1
        world.oracle.note_restored(made_s)
        begin_epoch(
            world.store,
            _MANIFEST,
            epoch=world.oracle.epoch,
            actor=OPERATOR,
            environment="simulation",
            code_version=__version__,
        )


def end_editing(world: World) -> None:
    """Make today the last day of editing: what is still to be sent after midnight may not go."""
    today = moscow_day(world.stage.now())
    world.city.set_edit_until(world.school.days[0].isoformat(), today.isoformat())
    world.oracle.edit_until = today


def days_later(world: World, days: int) -> str:
    """The Moscow day that much later, ISO."""
    return (moscow_day(world.stage.now()) + timedelta(days=days)).isoformat()
