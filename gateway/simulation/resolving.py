"""Lives of choices: people edit both journals, settle what differs, hold back, let go, take runs back, and calls fail.

One process after another on a stage without actors; everything that decides, sends, follows and settles is the product's
own. In the end the city must say what was chosen, everywhere but where somebody holds it back, ignored it or a refusal
waits for a person, and every choice must have been proven by a read-back or opened again.
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.domain.discrepancies import PUT_ASIDE, TYPE_TEXTS, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.errors import GatewayError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import LEFT_TO_CITY, LESSON_NOT_YET, MARKED_HOLD, NO_CITY_CALL, UNDONE
from gateway.flows.confirm import confirm, find_wait
from gateway.flows.discrepancies import choose, dispute, prove_discrepancies
from gateway.flows.gateway import Gateway
from gateway.flows.holds import lift_hold, place_hold
from gateway.flows.pull import Problem
from gateway.flows.undo import begin_undo, undo_run
from gateway.flows.undone import lift_undone
from gateway.queue.deliver import Delivery
from gateway.queue.due import sweep
from gateway.queue.lanes import load_due_rows
from gateway.queue.tables import operation
from gateway.reconcile.corrections import load_corrections
from gateway.reconcile.holds import load_holds
from gateway.reconcile.tables import base, decision, discrepancy, discrepancy_step, plan, record, record_version
from gateway.reconcile.undone import load_undone_runs
from gateway.simulation.city import Effect
from gateway.simulation.climate import DEADLINE_S, SETTLE_S, Climate, calm
from gateway.simulation.door import CityWeather
from gateway.simulation.machines import Runner
from gateway.simulation.people import MARKS, Operator, Stranger
from gateway.simulation.portal import ABSENCE_VALUE
from gateway.simulation.quiet import what_moves
from gateway.simulation.school import STATE_KINDS, Place, value_of_row
from gateway.simulation.stage import Violation
from gateway.simulation.store import forget_statements
from gateway.simulation.world import CITY, World

ACTS = (
    *("teach",) * 3,
    *("type",) * 4,
    *("night",) * 4,
    *("choose",) * 4,
    *("undo",) * 2,
    "dispute",
    "hold",
    "lift",
)
"""What happens in a life, drawn with these weights."""
LONGEST_LIFE = 16
LAST_NIGHTS = 10
FAULT_RATES = (0.0, 0.1, 0.3)
ENDS = ("proven", "reopened", "chosen", "vanished", "portal_moved", "disputed")
"""What may follow a choice that is not put aside: its proof, or that it counts no more."""
ASIDE = (MARKED_HOLD, UNDONE, LEFT_TO_CITY, LESSON_NOT_YET)
"""Lines of the last plan that excuse a record at the end by themselves: a person's hold, undo or choice, a lesson that is yet to
come. Any other (a guard, a difference, a refusal, a delete that waits) excuses it only with a discrepancy that was put aside.
"""


LAWS = {
    "C1": "at rest the city says what the school says, after corrections, on everything not held, ignored or parked",
    "C2": "nothing that a person wrote in the city is written over before a read has shown it",
    "C3": "every choice is proven by a read-back, or opened again",
    "C4": "what was taken back is not sent again before the portal moves or a person says so",
}


@dataclass
class Lived:
    """What became of one life.

    Attributes:
        violation: What did not hold; empty = everything did.
        acts: What happened, by its name.
        left: Places that were left aside at the end, by the reason that the last plan lists.
    """

    seed: int
    violation: str = ""
    acts: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    effects: int = 0
    faults: int = 0


def live(seed: int) -> Lived:
    """Play one life and judge its end."""
    lived = Lived(seed)
    forget_statements()
    life = _Life(seed, lived)
    try:
        life.play()
        life.judge()
    except Violation as violation:
        lived.violation = str(violation)
    except Exception as exc:  # noqa: BLE001  # whatever production code raises where nobody expects it is a finding
        lived.violation = "fault: " + "".join(traceback.format_exception(exc)[-4:])
    return lived


def live_many(seeds: Iterable[int]) -> list[Lived]:
    """Play lives one after another."""
    return [live(seed) for seed in seeds]


def _shape(drawn: Climate, rng: Random) -> Climate:
    rate = rng.choice(FAULT_RATES)

    def share() -> float:
        return rate * rng.choice((0.0, 0.5, 1.0))

    weather = CityWeather(
        p_unreachable=share() / 2,
        p_lost=share() / 2,
        p_unanswered=share(),
        p_late=0.0,  # nobody carries late mail on a stage without actors
        p_broken=share(),
        p_throttled=share() / 3,
        p_partial=share() / 2,
        p_swallowed=0.0,
        deadline_s=DEADLINE_S,
        late_limit_s=DEADLINE_S + SETTLE_S,
    )
    return replace(calm(drawn), city=weather, classes=1, has_chosen=False)


class _Life:
    """One school, one city, one curator."""

    def __init__(self, seed: int, lived: Lived) -> None:
        self._rng = Random(f"choices {seed}")  # noqa: S311  # repeatable on purpose
        self._lived = lived
        self._world = World(seed, shaped=partial(_shape, rng=self._rng), pupils_a_class=2)
        self._world.city.watcher = self._watch
        self._stranger = Stranger(self._world)
        self._operator = Operator(self._world)
        self._places = [one for one in self._world.school.places if one.kind in (Kind.MARK, Kind.ABSENCE)]
        self._by_ref = {(one.kind.value, one.ref): one for one in self._places}
        self._kept: dict[tuple[str, str], str | None] = {}
        """What an undo took back: record → what the gateway had read of it then."""
        self._ids = 0

    def play(self) -> None:
        """Let things happen with faults, then end them and settle everything."""
        for place in self._places:
            if self._rng.random() < 0.6:
                self._world.portal.set(place, self._value(place))
        self._night()
        for _ in range(self._rng.randint(4, LONGEST_LIFE)):
            act = self._rng.choice(ACTS)
            self._lived.acts[act] += 1
            getattr(self, f"_{act}")()
            self._world.stage.sleep(self._rng.choice((60.0, 3600.0, 6 * 3600.0)))
        self._world.stage.is_stormy = False
        self._settle_all()

    # --- what happens

    def _teach(self) -> None:
        for place in self._rng.sample(self._places, self._rng.choice((1, 1, 2, 3))):
            self._world.portal.set(place, None if self._rng.random() < 0.25 else self._value(place))

    def _type(self) -> None:
        for _ in range(self._rng.choice((1, 2, 3))):
            self._world.city.type_by_hand(self._stranger._edit())  # the same hands as in the worlds of many actors

    def _night(self) -> None:
        """Run once and deliver; now and then a person lets the plan out whole."""
        gateway = self._gateway()
        Runner(self._world, "run").run()
        self._forget_moved()
        if self._rng.random() < 0.7:
            self._operator.approve(gateway, is_whole=self._rng.random() < 0.6)
        self._deliver(gateway)

    def _choose(self) -> None:
        rows = self._open()
        for row in self._rng.sample(rows, min(len(rows), self._rng.choice((1, 1, 3)))):
            self._settle(row, [self._rng.choice(list(Choice))])

    def _dispute(self) -> None:
        rows = self._discrepancies((DiscrepancyState.RESOLVED, DiscrepancyState.WAITING_PROOF))
        if rows:
            dispute(self._gateway(), self._rng.choice(rows).id, reason="не согласен")

    def _hold(self) -> None:
        gateway = self._gateway()
        until = gateway.now() + timedelta(days=self._rng.choice((1, 30)))
        with self._world.store.read() as conn:
            read = set(conn.execute(select(record.c.ref)).scalars())
        # nobody can name a record that was never read
        known = [one.ref for one in self._places if one.ref in read]
        wish: dict[str, Any] = (
            {"ref": self._rng.choice(known)} if known and self._rng.random() < 0.7 else {"op": "change"}
        )
        place_hold(gateway, reason="спор", until=until, **wish)

    def _lift(self) -> None:
        gateway = self._gateway()
        place_id = self._place_id(gateway)
        with gateway.store.read() as conn:
            held = load_holds(conn, place_id, now=gateway.now())
            runs = [one.run_id for one in load_undone_runs(conn, place_id)]
        if held and self._rng.random() < 0.7:
            lift_hold(gateway, self._rng.choice(held).id, reason="решено")
        elif runs:
            lift_undone(gateway, self._rng.choice(runs), reason="решено")
            self._kept.clear()

    def _undo(self) -> None:
        gateway = self._gateway()
        with gateway.store.read() as conn:
            runs = sorted(
                conn.execute(select(operation.c.run_id).where(operation.c.state == "verified").distinct()).scalars()
            )
        if not runs:
            return
        number = self._rng.choice(runs)
        try:
            made = undo_run(gateway, number, begin_undo(gateway, number))
        except GatewayError:
            return  # the city does not answer: another time
        if made.count and self._rng.random() < 0.9:
            self._operator.approve(gateway, is_whole=True)
            self._lived.acts["undone"] += 1
            self._keep(made.plan.id)
        self._deliver(gateway)

    def _keep(self, plan_id: int) -> None:
        """Remember what was taken back, where the portal says something else and has since the run wrote."""
        read = self._world.oracle.load_read()
        with self._world.store.read() as conn:
            query = select(operation.c.kind, operation.c.ref, operation.c.op, operation.c.intent)
            for row in conn.execute(query.where(operation.c.plan_id == plan_id)):
                place = self._by_ref[row.kind, row.ref]
                back = None if row.op == "delete" else json.loads(row.intent).get("value", ABSENCE_VALUE)
                said = read.get(place.key)
                self._kept.pop((row.kind, row.ref), None)
                if back != said and self._is_unmoved(conn, plan_id, row.kind, row.ref):
                    self._kept[row.kind, row.ref] = said

    @staticmethod
    def _is_unmoved(conn: Connection, plan_id: int, kind: str, ref: str) -> bool:
        """Whether no read since the run that was undone let the record out has shown it anew."""
        run_id = select(plan.c.undoes).where(plan.c.id == plan_id).scalar_subquery()
        own = (operation.c.run_id == run_id, operation.c.kind == kind, operation.c.ref == ref)
        wrote_at = select(func.max(operation.c.created_at)).where(*own).scalar_subquery()
        moved = select(record_version.c.id).where(
            record_version.c.kind == kind, record_version.c.ref == ref, record_version.c.valid_from > wrote_at
        )
        return conn.execute(moved.limit(1)).one_or_none() is None

    def _forget_moved(self) -> None:
        """What the portal was read to say anew is no longer kept undone."""
        read = self._world.oracle.load_read()
        self._kept = {key: said for key, said in self._kept.items() if read.get(self._by_ref[key].key) == said}

    # --- how it is done

    def _gateway(self) -> Gateway:
        return self._world.open_gateway("curator")

    def _place_id(self, gateway: Gateway) -> int:
        with gateway.store.write() as conn:
            return gateway.place_id(conn)

    def _value(self, place: Place) -> str:
        return self._rng.choice(MARKS) if place.kind is Kind.MARK else ABSENCE_VALUE

    def _request_id(self) -> str:
        self._ids += 1
        request_id = f"{self._lived.seed:016x}{self._ids:016x}"
        self._world.oracle.recorded_s[request_id] = self._world.stage.elapsed_s
        return request_id

    def _deliver(self, gateway: Gateway, *, turns: int = 40) -> None:
        """Send, read back, wait, until nothing moves; what does not move in so many turns goes on the next night."""
        stage = self._world.stage
        work = Delivery(
            gateway.store,
            gateway.city,
            gateway.ledger,
            gateway.terms,
            city=CITY,
            request_ids=self._request_id,
            monotonic=lambda: stage.elapsed_s,
        )
        place_id = self._place_id(gateway)
        problems: dict[str, Problem] = {}
        for _ in range(turns):
            moved = sweep(gateway.store)
            try:
                if find_wait(gateway) is None:
                    with gateway.store.read() as conn:
                        due = [row.id for row in load_due_rows(conn, place_id, gateway.store.now(conn), limit=50)]
                    if due:
                        moved += len(work.deliver_many(due))
                moved += confirm(gateway, place_id, problems, owner="life")
            except GatewayError:
                self._lived.faults += 1
            if not what_moves(self._world.store):
                break
            if not moved:
                stage.sleep(60.0)
        prove_discrepancies(gateway)

    def _discrepancies(self, states: Collection[DiscrepancyState]) -> list[Any]:
        with self._world.store.read() as conn:
            query = select(discrepancy).where(discrepancy.c.state.in_([one.value for one in states]))
            return list(conn.execute(query.order_by(discrepancy.c.id)))

    def _open(self) -> list[Any]:
        return self._discrepancies((DiscrepancyState.OPEN, DiscrepancyState.ASSIGNED))

    def _settle(self, row: Any, wishes: Sequence[Choice]) -> None:
        """Take the first wish that is offered and taken; what nobody can decide now is put aside."""
        gateway = self._gateway()
        offered = TYPE_TEXTS[DiscrepancyType(row.type)].choices
        until = gateway.now() + timedelta(days=30)
        for wish in (*wishes, Choice.IGNORE):
            if wish not in offered:
                continue
            settled = choose(
                gateway,
                [row.id],
                wish,
                reason="разобрались",
                own_value=self._rng.choice(MARKS) if wish is Choice.OWN else None,
                until=until if wish in PUT_ASIDE else None,
            )
            if settled.taken:
                self._lived.choices[wish.value] += 1
                if wish not in PUT_ASIDE:
                    self._kept.pop((row.kind, row.ref), None)
                return

    def _settle_all(self) -> None:
        """Without faults: nights and choices until nobody has anything to decide and nothing moves."""
        for _ in range(LAST_NIGHTS):
            gateway = self._gateway()
            self._operator.renew(gateway)
            self._operator.replay(gateway)
            while not Runner(self._world, "run").run():
                self._world.stage.sleep(600.0)
            self._forget_moved()
            self._operator.approve(gateway, is_whole=True)
            self._deliver(gateway, turns=400)
            waiting = self._open()
            proofs = self._discrepancies((DiscrepancyState.WAITING_PROOF,))
            kept = {(row.kind, row.ref) for row in self._last_lines() if row.reason == MARKED_HOLD}
            if not waiting and all((row.kind, row.ref) in kept for row in proofs) and self._is_settled():
                return
            for row in waiting:
                wishes = self._rng.sample(list(Choice), len(Choice))
                # it is opened anew as often as he insists; who has read that the city has no call for it does so no more
                self._settle(row, [one for one in wishes if row.reason != NO_CITY_CALL or one is not Choice.OURS])
            self._world.stage.sleep(3600.0)
        raise Violation("C1", f"not settled after {LAST_NIGHTS} nights: {self._what_waits()}")

    def _is_settled(self) -> bool:
        """Whether the last plan proposes nothing and waits for no other read."""
        return not {row.reason for row in self._last_lines()} & {"ABSENCE_UNPROVEN", "IN_FLIGHT", "UNREAD_TARGET"}

    def _what_waits(self) -> str:
        left = self._discrepancies((DiscrepancyState.OPEN, DiscrepancyState.WAITING_PROOF))
        lines = Counter(row.reason for row in self._last_lines())
        return f"{[(row.ref, row.type, row.reason, row.state, row.choice) for row in left]}, {dict(lines)}"

    def _last_lines(self) -> list[Any]:
        with self._world.store.read() as conn:
            newest = select(plan.c.id).where(plan.c.hash.is_not(None), plan.c.undoes.is_(None))
            number = conn.execute(newest.order_by(plan.c.id.desc()).limit(1)).scalar_one()
            return list(conn.execute(select(decision).where(decision.c.plan_id == number)))

    # --- the judge

    def _watch(self, effect: Effect) -> None:
        """Nothing a person wrote is written over before a read has shown it, and what was taken back is not sent again."""
        if effect.is_human:
            return
        self._lived.effects += 1
        self._judge_kept(effect)
        if effect.op == "create" or effect.before is None:
            return
        kind = next(one.value for one, plural in STATE_KINDS.items() if plural == effect.kind)
        seen = self._world.store.raw.execute(
            "SELECT body FROM shadow WHERE kind = ? AND city_id = ?", (kind, effect.object_id)
        ).fetchone()
        stood = value_of_row(effect.kind, effect.before)
        # which reason an absence has there is nobody's question: that it stands was seen, or it was not
        if seen is None or (kind == "mark" and json.loads(seen[0])["value"] != stood):
            raise Violation("C2", f"{effect.op} of {kind} {effect.object_id} over what no read has shown")

    def _judge_kept(self, effect: Effect) -> None:
        row = self._world.store.raw.execute(
            "SELECT o.kind, o.ref, p.undoes FROM attempt a JOIN operation o ON o.id = a.operation_id"
            " JOIN plan p ON p.id = o.plan_id WHERE a.request_id = ?",
            (effect.request_id,),
        ).fetchone()
        if row is None:
            raise Violation("C4", "a call with a request id that no attempt recorded")
        kind, ref, undoes = row
        if undoes is None and (kind, ref) in self._kept and self._was_taken_back(kind, ref):
            raise Violation(
                "C4", f"{ref} was taken back and is sent again, though neither the portal nor a person moved it"
            )

    def _was_taken_back(self, kind: str, ref: str) -> bool:
        """Whether the last undo of the record was carried out: one that found its ground moved was not."""
        row = self._world.store.raw.execute(
            "SELECT o.state FROM operation o JOIN plan p ON p.id = o.plan_id"
            " WHERE o.kind = ? AND o.ref = ? AND p.undoes IS NOT NULL ORDER BY o.id DESC LIMIT 1",
            (kind, ref),
        ).fetchone()
        return row is not None and row[0] == "verified"

    def judge(self) -> None:
        """Hold the city against what was chosen.

        Raises:
            Violation: Naming what does not hold.
        """
        self._judge_steps()
        aside = self._load_aside()
        with self._world.store.read() as conn:
            place_id = conn.execute(select(plan.c.place_id).limit(1)).scalar_one()
            laid = load_corrections(conn, place_id)
            agreed = {(row.kind, row.ref): row for row in conn.execute(select(base))}
            digests = {(row.kind, row.ref): row.digest for row in conn.execute(select(record))}
        standing = {
            (kind.value, row["id"]): value_of_row(STATE_KINDS[kind], row)
            for kind in (Kind.MARK, Kind.ABSENCE)
            for row in self._world.city.standing(STATE_KINDS[kind])
        }
        for place in self._places:
            key = (place.kind.value, place.ref)
            if key in aside:
                self._lived.left[aside[key]] += 1
                continue
            wanted = self._world.portal.causes[place.key].now
            corrected = laid.get(key)
            if corrected is not None and wanted is not None and corrected.corrected == digests.get(key):
                if corrected.atom is None:
                    self._lived.left["LEFT_TO_CITY"] += 1
                    continue
                wanted = getattr(corrected.atom, "value", wanted)
            row = agreed.get(key)
            stands = None if row is None else standing.get((place.kind.value, row.city_id))
            if place.kind is Kind.ABSENCE and stands is not None:
                stands = ABSENCE_VALUE  # which reason it has there is nobody's question
            if stands != wanted:
                raise Violation("C1", f"{place.ref} stands {stands!r} and should {wanted!r}")

    def _judge_steps(self) -> None:
        """Every choice was proven by a read-back, counts no more, or waits because its record is held back."""
        kept = {row.ref for row in self._last_lines() if row.reason == MARKED_HOLD}
        held = {row.id for row in self._discrepancies((DiscrepancyState.WAITING_PROOF,)) if row.ref in kept}
        with self._world.store.read() as conn:
            rows = conn.execute(
                select(discrepancy_step).order_by(discrepancy_step.c.discrepancy_id, discrepancy_step.c.id)
            )
            steps: dict[int, list[Any]] = {}
            for row in rows:
                steps.setdefault(row.discrepancy_id, []).append(row)
        for number, lived in steps.items():
            for at, step in enumerate(lived):
                is_choice = step.step == "chosen" and step.choice not in [one.value for one in PUT_ASIDE]
                if is_choice and number not in held and not any(later.step in ENDS for later in lived[at + 1 :]):
                    raise Violation("C3", f"discrepancy {number}: {step.choice} was neither proven nor opened again")

    def _load_aside(self) -> dict[tuple[str, str], str]:
        """What is held, ignored or parked at the end: record → why; what only waits, or was forgotten, is not."""
        found = {
            (row.kind, row.ref): row.reason for row in self._last_lines() if row.reason in ASIDE and row.ref is not None
        }
        put = (DiscrepancyState.IGNORED, DiscrepancyState.WAITING_OUTSIDE)
        return found | {(row.kind, row.ref): row.state for row in self._discrepancies(put)}


__all__ = ["Lived", "live", "live_many"]
