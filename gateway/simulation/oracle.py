"""The judge: what must hold at every effect, by the portal's change log, the city's own ledger and the stored rows.

Knows nothing of how decisions are made. Invariants are named as in the design (I1…I15); those judged at the moment of
an effect raise inside the city, so that the stack of the violation is the culprit's.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway.domain.clock import moscow_day
from gateway.simulation.city import Effect, SimCity
from gateway.simulation.portal import ABSENCE_VALUE, SimPortal
from gateway.simulation.school import LATE, STATE_KINDS, NaturalKey, key_of_row, value_of_row
from gateway.simulation.stage import Stage, Violation
from gateway.simulation.store import StageStore

LEFT = "\x00left"
"""Known of a place whose pupil or whole scope is not there any more: unknown, and no reason to delete."""

READ_OF_YEAR = "SELECT ref, body, gone FROM record WHERE place_id = (SELECT id FROM place WHERE year = ?)"
SEEN_OF_YEAR = "SELECT kind, city_id, body FROM shadow WHERE place_id = (SELECT id FROM place WHERE year = ?)"

CLEARED = ("cleared", "item_removed")
"""Absences of a record that may become a delete."""

SEEN_KINDS = {name: kind.value for kind, name in STATE_KINDS.items()}


@dataclass(frozen=True)
class Sending:
    """What the gateway knew when it began to record a call as sent."""

    at_s: float
    seen: dict[tuple[str, int], tuple[str, int, int, str]]
    known: dict[NaturalKey, str | None]
    closed_known: bool
    day: date


@dataclass
class Tally:
    """What a world counts, violations apart.

    Attributes:
        blind_overwrites: A person's edit written over that no read of ours had seen: the race without a precondition.
        beyond_bound: Effects applied later than law 4's bound after they were recorded as sent (labelled worlds only).
        doubled_beyond: Duplicates that came of those, all of them found and listed.
    """

    effects: int = 0
    human_effects: int = 0
    blind_overwrites: int = 0
    beyond_bound: int = 0
    doubled_beyond: int = 0


@dataclass
class Oracle:
    """Judges effects one by one; `closing.check_end` judges the whole.

    Attributes:
        is_bounded: Calls land within law 4's bound in this world; where not, duplicates are counted and not forbidden.
        untouchable_s: That bound, in seconds.
        lag_s: How long the city's readers go on seeing the old state.
        year: The school year that is played; what is stored of others is not of this world.
    """

    stage: Stage
    store: StageStore
    city: SimCity
    portal: SimPortal
    is_bounded: bool
    untouchable_s: float
    lag_s: float = 0.0
    year: str = ""
    past: list[Effect] = field(default_factory=list)
    """Effects of the years before."""
    closes_at_s: float | None = None
    edit_until: date | None = None
    tally: Tally = field(default_factory=Tally)
    recorded_s: dict[str, float] = field(default_factory=dict)
    touched: set[NaturalKey] = field(default_factory=set)
    loose: set[NaturalKey] = field(default_factory=set)
    sealed: dict[int, dict[int, tuple[str, str | None, str | None, bytes | None]]] = field(default_factory=dict)
    opened: set[int] = field(default_factory=set)
    """Plans that a person approved with their deletes and held items."""
    epoch: int = 1
    restored_s: float = -1.0
    torn: set[NaturalKey] = field(default_factory=set)
    """Places whose writes a restore made the database forget: a person may have to decide about them."""
    _sendings: dict[str, Sending] = field(default_factory=dict)
    _known: dict[NaturalKey, str | None] = field(default_factory=dict)
    _closed_known: bool = False
    _planning: dict[int, tuple[dict[NaturalKey, str | None], bool]] = field(default_factory=dict)
    _written: Counter[tuple[NaturalKey, str | None]] = field(default_factory=Counter)
    _credits: Counter[NaturalKey] = field(default_factory=Counter)
    _refusals: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def hidden_kinds(self) -> set[str]:
        """Kinds of which people have deleted all that the gateway knows in the city: it takes that for a lie, and waits."""
        hidden: set[str] = set()
        for plural, kind in SEEN_KINDS.items():
            known = [city_id for seen, city_id, _ in self._load_seen() if seen == kind]
            standing = {row["id"] for row in self.city.standing(plural)}
            if known and not standing.intersection(known):
                hidden.add(kind)
        return hidden

    def _load_seen(self) -> list[tuple[str, int, str]]:
        return self.store.raw.execute(SEEN_OF_YEAR, (self.year,)).fetchall()

    # --- what the gateway knows

    def load_read(self) -> dict[NaturalKey, str | None]:
        """What the gateway has read of the portal so far, by its own records."""
        by_ref = {place.ref: place for place in self.portal.school.places}
        found: dict[NaturalKey, str | None] = {}
        taught: dict[str, dict[str, str]] = {}
        for ref, body, gone in self.store.raw.execute(READ_OF_YEAR, (self.year,)).fetchall():
            place = by_ref.get(ref)
            if place is not None:
                found[place.key] = _read_value(json.loads(body)) if gone is None else None if gone in CLEARED else LEFT
            elif gone is None and (lesson := json.loads(body)).get("topic"):
                taught.setdefault(lesson["group"], {})[lesson["starts_at"]] = lesson["topic"]
        for group in self.portal.school.groups:  # no record of its own: a group's topics are its lessons'
            topics = taught.get(group.ref, {})
            if len(topics) == len(group.lessons):
                found["topics", group.city_id, 0, 0] = "\n".join(topics[at] for at in sorted(topics))
        return found

    def note_planning(self, run_id: int) -> None:
        """A plan is begun: it decides on what has been read of the portal by now, and reads the directory after now."""
        self._planning[run_id] = (self.load_read(), self.closes_at_s is not None)

    def note_sealed(self) -> None:
        """Keep every plan as it was sealed, the first time it is met; what it was built on is known from now on."""
        for plan_id, run_id in self.store.raw.execute(
            "SELECT id, run_id FROM plan WHERE hash IS NOT NULL ORDER BY id"
        ).fetchall():
            if plan_id in self.sealed:
                continue
            rows = self.store.raw.execute(
                "SELECT seq, gate, op, ref, intent FROM decision WHERE plan_id = ?", (plan_id,)
            ).fetchall()
            self.sealed[plan_id] = {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}
            # by its own run: one that was killed when it had sealed may be met after a later one has begun
            if run_id in self._planning:
                self._known, self._closed_known = self._planning[run_id]

    def note_approving(self, plan_id: int, *, is_whole: bool) -> None:
        """A person is about to approve a plan: with what it deletes and what the guard holds, or without."""
        if is_whole:
            self.opened.add(plan_id)

    def note_sending(self, request_id: str) -> None:
        """A worker took a request id: what it knows from now on counts."""
        seen: dict[tuple[str, int], tuple[str, int, int, str]] = {}
        for kind, city_id, body in self._load_seen():
            seen[kind, city_id] = _seen_of(kind, json.loads(body))
        self.recorded_s[request_id] = self.stage.elapsed_s
        self._sendings[request_id] = Sending(
            at_s=self.stage.elapsed_s,
            seen=seen,
            known=self._known,
            closed_known=self._closed_known,
            day=moscow_day(self.stage.now()),
        )

    def note_restored(self, made_s: float) -> None:
        """The database is as it was at `made_s`: what came after is in the city and in no row of ours."""
        self.epoch += 1
        self.restored_s = self.stage.elapsed_s
        self.torn |= {one.key for one in self.city.effects if one.at_s >= made_s}
        self._known, self._planning = {}, {}
        self.sealed.clear()
        self.note_sealed()

    def note_refused(self, request_id: str) -> None:
        """The city understood a request and refused it.

        Raises:
            Violation: It had refused the same operation before.
        """
        row = self.store.raw.execute("SELECT operation_id FROM attempt WHERE request_id = ?", (request_id,)).fetchone()
        if row is None:
            return
        earlier = self._refusals.setdefault((row[0], self.epoch), [])
        written = "SELECT count(*) FROM audit_entry WHERE request_id = ? AND action <> 'operation.intended'"
        # a refusal whose hearer lived and still had the row was written down; any other has to be asked for again
        for one in earlier:
            if self.store.raw.execute(written, (one,)).fetchone()[0]:
                raise Violation("I13", f"operation {row[0]} asks again what was refused")
        earlier.append(request_id)

    # --- effects

    def watch(self, effect: Effect) -> None:
        """Judge one accepted write.

        Raises:
            Violation: Naming the invariant.
        """
        if effect.is_human:
            self._note_human(effect)
            return
        self.tally.effects += 1
        sending = self._sendings.get(effect.request_id)
        if sending is None:
            raise Violation("I3", "a call with a request id that nobody recorded")
        if sending.at_s < self.restored_s:
            self.torn.add(effect.key)  # on its way while the database was put back: no row can know of it
        else:
            self._judge_operation(effect, sending)
        self._judge_cause(effect, sending)
        self._judge_foreign(effect, sending)
        self._judge_period(effect, sending)
        self._written[effect.key, effect.value] += 1

    def _note_human(self, effect: Effect) -> None:
        self.tally.human_effects += 1
        for key in {effect.key, key_of_row(effect.kind, effect.before or effect.after)}:
            self.touched.add(key)
            # Between our call and its read-back a person may undo it, and nobody could tell: one more is justified.
            self._credits[key] += 1

    def _judge_operation(self, effect: Effect, sending: Sending) -> None:
        """I5 and I9: the row that stands behind the call, and the plan behind the row."""
        rows = self.store.raw.execute(
            "SELECT o.id, o.state, o.plan_id, o.seq, o.op, o.object_key, o.epoch, a.number,"
            " (SELECT max(number) FROM attempt WHERE operation_id = o.id),"
            " (SELECT year FROM place WHERE id = o.place_id)"
            " FROM attempt a JOIN operation o ON o.id = a.operation_id WHERE a.request_id = ?",
            (effect.request_id,),
        ).fetchall()
        if len(rows) != 1:
            raise Violation("I3", f"{len(rows)} recorded attempts stand behind an effect on {effect.kind}")
        operation_id, state, plan_id, seq, op, object_key, epoch, number, newest, year = rows[0]
        if year != self.year:
            raise Violation("I4", f"operation {operation_id} of the year {year} takes effect in {self.year}")
        # a bounded world holds the bound by its making; in any other a write must be visible, not only made, within it
        lag_s = 0.0 if self.is_bounded else self.lag_s
        is_late = self.stage.elapsed_s - sending.at_s > self.untouchable_s - lag_s
        if is_late:
            self.tally.beyond_bound += 1
            self.loose.add(effect.key)
        if self.is_bounded and not is_late:
            if state not in ("sending", "unknown") or number != newest:
                raise Violation(
                    "I5", f"operation {operation_id} takes effect while it is {state}, attempt {number}/{newest}"
                )
            others = self.store.raw.execute(
                "SELECT id FROM operation WHERE object_key = ? AND id <> ? AND state IN ('sending', 'unknown', 'accepted')"
                " AND place_id = (SELECT id FROM place WHERE year = ?)",
                (object_key, operation_id, self.year),
            ).fetchall()
            if others:
                raise Violation("I5", f"operations {operation_id} and {others[0][0]} are in flight on one object")
        if epoch != self.epoch and self.is_bounded and not is_late:
            raise Violation("I5", f"operation {operation_id} of epoch {epoch} takes effect in epoch {self.epoch}")
        self._judge_plan(operation_id, plan_id, seq, op, effect, sending)

    def _judge_plan(self, operation_id: int, plan_id: int, seq: int, op: str, effect: Effect, sending: Sending) -> None:
        raw = self.store.raw
        found = raw.execute(
            "SELECT state, open_gates, is_dry_run, approved_at, hash FROM plan WHERE id = ?", (plan_id,)
        ).fetchone()
        rows = raw.execute(
            "SELECT gate, op, ref, intent FROM decision WHERE plan_id = ? AND seq = ?", (plan_id, seq)
        ).fetchone()
        if found is None or rows is None or found[4] is None:
            raise Violation("I9", f"operation {operation_id} comes from no sealed plan")
        state, open_gates, is_dry_run, approved_at, _ = found
        if is_dry_run:
            raise Violation("I9", f"a dry run's operation {operation_id} takes effect")
        if plan_id not in self.sealed or self.sealed[plan_id].get(seq) != tuple(rows):
            raise Violation("I9", f"plan {plan_id} is not what was sealed")
        gate, planned_op = rows[0], rows[1]
        if gate not in json.loads(open_gates) or (gate != "none" and approved_at is None):
            raise Violation(
                "I9", f"operation {operation_id} takes effect behind the closed gate {gate} of a plan {state}"
            )
        if gate in ("delete", "guard", "many") and plan_id not in self.opened:
            raise Violation("I9", f"operation {operation_id} passes the gate {gate}, which no person has opened")
        # beyond the bound our own second call may have filled an empty lesson plan before the first one arrived
        is_explained = effect.key in self.loose or self._is_filled_meanwhile(effect, sending)
        if planned_op != op or (op != effect.op and not is_explained):
            raise Violation("I9", f"planned {planned_op}, queued {op}, done {effect.op}")
        if op == "delete" and (approved_at is None or "delete" not in json.loads(open_gates)):
            raise Violation("I9", f"operation {operation_id} deletes, and no person has said so")
        scope = self._scope_of(effect)
        is_first = all(self._scope_of(one) != scope for one in self.city.effects)
        if is_first and approved_at is None:
            raise Violation("I9", f"operation {operation_id} is the first of its group, and no person was asked")

    def _is_filled_meanwhile(self, effect: Effect, sending: Sending) -> bool:
        """Whether a person filled an empty lesson plan when our own was on its way: nothing in the call can refuse that."""
        last = self.city.last_writer.get((effect.kind, effect.object_id))
        return effect.kind == "lesson_plans" and last is not None and last.is_human and last.at_s >= sending.at_s

    def _scope_of(self, effect: Effect) -> tuple[str, int]:
        """Kind and group of an effect; a final mark of the city names no group but its pupil's."""
        place = self.portal.school.by_key.get(effect.key)
        return effect.kind, place.group.city_id if place is not None else effect.after.get("group_id", 0)

    def _judge_cause(self, effect: Effect, sending: Sending) -> None:
        """I2 and I4: each effect has a cause of its own, and is what we last knew to be wanted."""
        causes = self.portal.causes.get(effect.key)
        if causes is None:
            raise Violation("I4", f"{effect.op} in a place that nobody asked for: {effect.key[0]}")
        place = self.portal.school.by_key[effect.key]
        wanted, allowed = effect.value, causes.count(effect.value) + self._credits[effect.key]
        is_loose = effect.key in self.loose
        if wanted is not None and causes.count(wanted) == 0:
            raise Violation("I4", f"{place.ref}: a value that the portal never held")
        if self._written[effect.key, wanted] + 1 > allowed and not is_loose:
            raise Violation(
                "I4",
                f"{place.ref}: {effect.op} for the {self._written[effect.key, wanted] + 1}th time, {allowed} causes",
            )
        if effect.key in sending.known and sending.known[effect.key] != wanted:
            known = sending.known[effect.key]
            # read since, and no plan sealed by it yet: what was outdated by the last one is wanted again
            is_wanted_again = self.load_read().get(effect.key) == wanted
            if not is_wanted_again and not (known == LEFT and effect.op == "delete"):
                raise Violation("I4", f"{place.ref}: {effect.op} of what was known to be outdated before it was sent")
        if effect.kind == "marks" and effect.op != "delete" and effect.after["weight"] != place.weight:
            raise Violation("I4", f"{place.ref}: another weight than its form's")
        if effect.op == "create":
            twins = [row for row in self._ours_standing(effect.kind) if key_of_row(effect.kind, row) == effect.key]
            if twins and is_loose:
                self.tally.doubled_beyond += 1
            elif twins:
                raise Violation("I2", f"{place.ref}: a second one beside {twins[0]['id']}")

    def _ours_standing(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.city.standing(kind) if not self._is_by_person(kind, row["id"])]

    def _is_by_person(self, kind: str, city_id: int) -> bool:
        """Whether the last word of an object is a person's; of a plan that stood there from the first, nobody's."""
        writer = self.city.last_writer.get((kind, city_id))
        return writer is None or writer.is_human

    def _judge_foreign(self, effect: Effect, sending: Sending) -> None:
        """I15: what a person typed there, and we had read, is never written over, deleted or doubled."""
        kind = SEEN_KINDS[effect.kind]
        if effect.op == "create":
            for (seen_kind, city_id), seen in sending.seen.items():
                row = self.city.state.find(effect.kind, city_id) if seen_kind == kind else None
                if row is None or row.get("deleted_at") is not None or key_of_row(effect.kind, row) != effect.key:
                    continue
                writer = self.city.last_writer.get((effect.kind, city_id))
                if writer is not None and writer.is_human and seen[3] == effect.value and writer.value == effect.value:
                    raise Violation(
                        "I15", f"created beside the same {kind} {city_id}, typed by a person and seen before"
                    )
            return
        last = self.city.last_writer.get((effect.kind, effect.object_id))
        if last is None or not last.is_human or effect.before is None:
            return
        seen_now = sending.seen.get((kind, effect.object_id))
        stands = _row_as_seen(effect.kind, effect.before)
        if self._may_be_agreed(effect, last):
            return
        if seen_now == stands:
            raise Violation("I15", f"{effect.op} of {kind} {effect.object_id} over what a person typed and we had read")
        self.tally.blind_overwrites += 1

    def _may_be_agreed(self, effect: Effect, writer: Effect) -> bool:
        """Whether what the person typed is what we had written, or what the portal held once and we may have read: agreed."""
        before = effect.after if effect.before is None else effect.before
        ours = [one for one in self.city.effects if not one.is_human and one.object_id == effect.object_id]
        if ours and _row_as_seen(effect.kind, ours[-1].after) == _row_as_seen(effect.kind, before):
            return True
        place = self.portal.school.by_key.get(key_of_row(effect.kind, before))
        if place is None or (effect.kind == "marks" and before["weight"] != place.weight):
            return False
        return self.portal.causes[place.key].count(writer.value) > 0

    def _judge_period(self, effect: Effect, sending: Sending) -> None:
        """I10: a period known to be closed, or whose last day of editing is over, takes no write of ours."""
        if not self.portal.school.by_key[effect.key].is_dated:
            return
        if sending.closed_known:
            raise Violation("I10", f"{effect.op} into a period that was known to be closed")
        if self.edit_until is not None and sending.day > self.edit_until:
            raise Violation("I10", f"{effect.op} after the last day of editing")


def _read_value(body: dict[str, Any]) -> str:
    """What a record of ours says, as the city would spell it."""
    if "raw_points" in body:
        return f"{body['raw_points']:g}"
    if "form" in body:
        return ABSENCE_VALUE if "text" not in body else LATE if body["form"] == "late" else str(body["text"])
    return str(body["title"])


def _seen_of(kind: str, body: dict[str, Any]) -> tuple[str, int, int, str]:
    if kind == "mark":
        return (kind, body["form_id"], body["weight"], str(body["value"]))
    if kind == "absence":
        return (kind, 0, 0, str(body["reason_id"]))
    if kind == "topics":
        return (kind, 0, 0, "\n".join(one["topic"] for one in body["lessons"]))
    return (kind, 0, 0, str(body["value"] if kind == "final" else body["text"]))


def _row_as_seen(kind: str, row: dict[str, Any]) -> tuple[str, int, int, str]:
    if kind == "marks":
        return ("mark", row["control_form_id"], row["weight"], str(row["name"]))
    if kind == "attendances":
        return ("absence", 0, 0, str(row["absence_reason_id"]))
    if kind in ("lesson_comments", "final_marks", "lesson_plans"):
        return (SEEN_KINDS[kind], 0, 0, value_of_row(kind, row))
    return ("homework", 0, 0, "\n".join(str(entry["description"] or "") for entry in row["homework_entries"]))
