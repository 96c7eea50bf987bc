"""The judge's last word: what must hold when faults are over and everything is quiet."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

from gateway.audit.read import verify
from gateway.domain.clock import MOSCOW
from gateway.domain.identifiers import Kind
from gateway.simulation.oracle import Oracle
from gateway.simulation.school import LESSON_AT, STATE_KINDS, NaturalKey, Place, key_of_row, value_of_row
from gateway.simulation.stage import Violation

HUMAN_REASONS = frozenset(
    {
        "DRIFT",
        "FOREIGN",
        "CONFLICT",
        "PROBABLE_TWIN",
        "VERIFY_MISMATCH",
        "NOT_SEEN_AFTER_ACCEPT",
        "SEVERAL_AFTER_UNKNOWN",
        "REJECTED_TARGET",
    }
)
PERIOD_REASONS = frozenset({"WINDOW_CLOSED", "WINDOW_EDIT_OVER"})
MAX_ATTEMPTS_COUNT = 12 + 3 + 1
"""Answered or unanswered attempts, kills, and the one that is just being counted."""
MAX_UNSENT_COUNT = 10 * MAX_ATTEMPTS_COUNT
"""Marked, and the call not made: its batch broke off before its turn. What broke it off is bounded, row by row; so is this."""
GUARD_COUNT = 5
"""Shares bite above this many (`school.guard_minimum_count`)."""
NAMELESS_TABLES = ("audit_entry", "audit_checkpoint", "attempt", "receipt", "run", "decision_scope", "record_fault")
LISTED = ("held", "waiting", "rejected", "out_of_scope")


def check_end(oracle: Oracle, *, has_restored: bool) -> Counter[str]:
    """Judge the whole world.

    Returns:
        Why places differ at the end, each of them listed by the last plan: reason → count.

    Raises:
        Violation: Naming the invariant.
    """
    _check_open(oracle)
    differing = _check_agreement(oracle)
    _check_doubles(oracle)
    _check_audit(oracle, has_restored=has_restored)
    _check_verified_values(oracle)
    _check_attempts(oracle)
    _check_counters(oracle)
    _check_silence(oracle)
    return differing


def _check_open(oracle: Oracle) -> None:
    rows = oracle.store.raw.execute(
        "SELECT id, state, reason FROM operation WHERE state IN ('ready', 'claimed', 'sending', 'unknown', 'accepted')"
    ).fetchall()
    if rows:
        raise Violation("I7", f"operation {rows[0][0]} is still {rows[0][1]} ({rows[0][2]})")


def _check_agreement(oracle: Oracle) -> Counter[str]:
    """I1: the two journals agree, but for what is listed with a reason that this world gives."""
    listed = _load_listed(oracle)
    differing: Counter[str] = Counter()
    for place in oracle.portal.school.places:
        wanted = oracle.portal.causes[place.key].now if oracle.portal.is_enrolled(place) else None
        there = [
            value_of_row(kind, row)
            for kind in (STATE_KINDS[place.kind],)
            for row in oracle.city.standing(kind)
            if key_of_row(kind, row) == place.key
            and value_of_row(kind, row)  # an empty lesson plan is only where one would stand
            and (wanted is not None or not _is_foreign(oracle, kind, row["id"]))
        ]
        if there == ([] if wanted is None else [wanted]) or (place.key in oracle.touched and wanted in there):
            continue
        reasons = listed.get((place.kind.value, place.ref), set())
        allowed = reasons & _allowed_reasons(oracle, place)
        if not allowed:
            raise Violation(
                "I1",
                f"{place.ref}: {len(there)} in the city, wanted {'none' if wanted is None else 'one'}, listed as {sorted(reasons)}",
            )
        differing[min(allowed)] += 1
    return differing


def _is_foreign(oracle: Oracle, kind: str, object_id: int) -> bool:
    """Whether no machine ever wrote the object."""
    return all(one.is_human for one in oracle.city.effects if one.kind == kind and one.object_id == object_id)


def _load_listed(oracle: Oracle) -> dict[tuple[str, str], set[str]]:
    newest = oracle.store.raw.execute("SELECT max(id) FROM plan WHERE hash IS NOT NULL").fetchone()[0]
    found: dict[tuple[str, str], set[str]] = {}
    for kind, ref, category, reason in oracle.store.raw.execute(
        "SELECT kind, ref, category, CASE gate WHEN 'refused' THEN 'GUARD_HOLD' ELSE reason END FROM decision WHERE plan_id = ? AND ref IS NOT NULL",
        (newest,),
    ).fetchall():
        if category in LISTED:
            found.setdefault((kind, ref), set()).add(reason)
    # a scope of which nothing has moved is remembered by its counts, a row a reason
    for scope, reason in oracle.store.raw.execute(
        "SELECT scope, reason FROM decision_scope WHERE plan_id = ? AND reason <> 'NO_CHANGE'", (newest,)
    ).fetchall():
        for place in oracle.portal.school.places:
            if scope == f"{place.kind.value}|city-group:{place.group.city_id}":
                found.setdefault((place.kind.value, place.ref), set()).add(reason)
    return found


def _allowed_reasons(oracle: Oracle, place: Place) -> frozenset[str]:
    allowed: frozenset[str] = frozenset()
    near = _neighbours(oracle, place)
    if near & (oracle.touched | oracle.torn | oracle.loose):
        allowed |= HUMAN_REASONS
    if near & (oracle.torn | oracle.loose):
        allowed |= {"EPOCH_STRANGER"}
    if oracle.closes_at_s is not None or oracle.edit_until is not None:
        allowed |= PERIOD_REASONS | {"DELETE_HELD"}
    if datetime.combine(place.lesson_on, LESSON_AT, MOSCOW) > oracle.stage.now():
        allowed |= {"LESSON_NOT_YET"}
    if place.pupil is not None and place.pupil.ref in oracle.portal.left_once:
        allowed |= {"PUPIL_LEFT", "SCOPE_RESET"}  # also after a return: what he had before is a person's question
    if (place.kind, place.group.ref) in oracle.portal.emptied:
        allowed |= {"SCOPE_RESET"}
    if place.kind in (Kind.COMMENT, Kind.FINAL) and len(oracle.portal.causes[place.key].values) > 1:
        allowed |= {"NO_CITY_CALL"}  # what was corrected at school, and the city has no call for
    if place.kind.value in oracle.hidden_kinds():
        allowed |= {"UNREAD_TARGET"}
    others = [one for one in oracle.portal.school.places if one.kind is place.kind and one.group is place.group]
    live = sum(1 for one in others if oracle.portal.causes[one.key].now is not None and oracle.portal.is_enrolled(one))
    ever = sum(1 for one in others if any(value is not None for value in oracle.portal.causes[one.key].values))
    cleared = sum(1 for one in others if any(oracle.portal.causes[one.key].values) and _is_gone(oracle, one))
    if live < ever / 2 or cleared > GUARD_COUNT:
        allowed |= {
            "GUARD_HOLD"
        }  # a source that shrank to less than half is refused as short, many deletes as too many
    return allowed


def _is_gone(oracle: Oracle, place: Place) -> bool:
    return oracle.portal.causes[place.key].now is None or not oracle.portal.is_enrolled(place)


def _neighbours(oracle: Oracle, place: Place) -> set[NaturalKey]:
    """Places of the same pupil: what a person typed at one lesson may look like ours of the next."""
    if place.pupil is None:
        return {place.key}
    return {one.key for one in oracle.portal.school.places if one.pupil is place.pupil and one.kind is place.kind} | {
        key for key in oracle.touched | oracle.torn if key[0] == place.key[0] and key[1] == place.key[1]
    }


def _check_doubles(oracle: Oracle) -> None:
    """I2 at the end: nothing of ours stands twice where no person had a hand in it and no call came beyond the bound."""
    for kind in STATE_KINDS.values():
        counts = Counter(key_of_row(kind, row) for row in oracle.city.standing(kind))
        for key, count in counts.items():
            if count > 1 and key not in oracle.touched and key not in oracle.loose:
                raise Violation("I2", f"{count} of {key[0]} stand in one place")


def _check_audit(oracle: Oracle, *, has_restored: bool) -> None:
    """I3 and I6: one entry before each effect, one outcome after it, and a whole chain."""
    report = verify(oracle.store, "deeds")
    if not report.ok:
        raise Violation("I6", report.sentence)
    ended = "SELECT max(seq) FROM audit_entry WHERE stream = 'deeds' AND action = 'run.finished'"
    sealed = "SELECT max(size) FROM audit_checkpoint WHERE stream = 'deeds'"
    last, size = (oracle.store.raw.execute(text).fetchone()[0] or 0 for text in (ended, sealed))
    if size < last:
        raise Violation("I6", f"the run that ended at entry {last} left no checkpoint, the newest is at {size}")
    rows = oracle.store.raw.execute(
        "SELECT action, operation_id, request_id FROM audit_entry WHERE stream = 'deeds' AND operation_id IS NOT NULL"
    ).fetchall()
    effects = [effect for effect in (*oracle.past, *oracle.city.effects) if not effect.is_human]
    intended = Counter(request_id for action, _, request_id in rows if action == "operation.intended")
    verified = Counter(operation_id for action, operation_id, _ in rows if action == "operation.verified")
    if any(count > 1 for count in verified.values()):
        raise Violation("I3", "an operation was verified twice")
    if has_restored:
        return  # the database's own log has the hole that a restore tears; the second sink is another test's
    for effect in effects:
        if intended[effect.request_id] != 1:
            raise Violation("I3", f"{intended[effect.request_id]} audit entries announce one effect")
    operations = {
        row[0]: (row[1], row[2], row[3])
        for row in oracle.store.raw.execute("SELECT id, op, kind, city_id FROM operation").fetchall()
    }
    plural = {kind.value: name for kind, name in STATE_KINDS.items()}
    ops = {"create": "create", "change": "change", "delete": "delete"}
    skipped = oracle.touched | oracle.loose
    ids = {(one.kind, one.object_id): one.key for one in (*oracle.past, *oracle.city.effects)}
    # what the end of a school year left unproven waits for a person, with its reason
    left = "SELECT a.request_id FROM attempt a JOIN operation o ON o.id = a.operation_id WHERE o.reason = 'YEAR_OVER'"
    unproven = {row[0] for row in oracle.store.raw.execute(left)}
    done = Counter(
        (one.kind, one.object_id, one.op)
        for one in effects
        if one.key not in skipped and one.request_id not in unproven
    )
    told = Counter(
        (plural[kind], int(city_id), ops[op])
        for op, kind, city_id in (operations[operation_id] for operation_id in verified)
        if city_id is not None and ids.get((plural[kind], int(city_id))) not in skipped
    )
    if done != told:
        missing, surplus = done - told, told - done
        raise Violation(
            "I3",
            f"effects without an outcome: {sorted(missing)[:3]}, outcomes without an effect: {sorted(surplus)[:3]}",
        )


def _check_attempts(oracle: Oracle) -> None:
    """I13: what kills its worker, or is never answered, is tried a bounded number of times."""
    counted = "SELECT operation_id, count(*) FROM attempt WHERE (outcome = 'unsent') = ? GROUP BY operation_id HAVING count(*) > ?"
    for is_unsent, most in ((False, MAX_ATTEMPTS_COUNT), (True, MAX_UNSENT_COUNT)):
        row = oracle.store.raw.execute(counted, (is_unsent, most)).fetchone()
        if row is not None:
            raise Violation("I13", f"operation {row[0]} was tried {row[1]} times")


def _check_verified_values(oracle: Oracle) -> None:
    """I3: what is called verified stood in the city as it was meant, under the id that is told."""
    stood = {(one.kind, one.object_id, one.value) for one in (*oracle.past, *oracle.city.effects)}
    plural = {kind.value: name for kind, name in STATE_KINDS.items()}
    for operation_id, kind, city_id, intent in oracle.store.raw.execute(
        "SELECT id, kind, city_id, intent FROM operation WHERE state = 'verified' AND op <> 'delete'"
    ).fetchall():
        body = json.loads(intent)
        value = _meant(kind, body)
        if (plural[kind], city_id, value) not in stood:
            raise Violation("I3", f"operation {operation_id} was verified and never stood there")


def _meant(kind: str, body: dict[str, Any]) -> str:
    if kind == "absence":
        return str(body["reason_id"])
    if kind == "topics":
        return "\n".join(one["topic"] for one in body["lessons"])
    return str(body["value"] if "value" in body else body["text"])


def _check_silence(oracle: Oracle) -> None:
    """I12: what is kept for ever, or shown to whoever asks how a run went, names no child."""
    said = re.compile("|".join(sorted(map(re.escape, oracle.portal.school.canaries))))
    for table in NAMELESS_TABLES:
        for row in oracle.store.raw.execute(f"SELECT * FROM {table}"):  # noqa: S608  # a constant above
            if any(isinstance(value, str) and said.search(value) for value in row):
                raise Violation("I12", f"a row of {table} holds a canary")


def _check_counters(oracle: Oracle) -> None:
    """I8: what was read is what was decided, in every plan; what was let out went one of three ways."""
    for plan_id, counters in oracle.store.raw.execute(
        "SELECT id, counters FROM plan WHERE hash IS NOT NULL"
    ).fetchall():
        numbers = json.loads(counters)
        if numbers["read"] != sum(count for name, count in numbers.items() if name != "read"):
            raise Violation("I8", f"plan {plan_id}: read {numbers['read']}, decided {numbers}")
    rows = oracle.store.raw.execute(
        "SELECT d.plan_id, d.seq FROM decision d LEFT JOIN operation o ON o.plan_id = d.plan_id AND o.seq = d.seq"
        " WHERE (d.outcome = 'queued') <> (o.id IS NOT NULL)"
    ).fetchall()
    if rows:
        raise Violation("I8", f"plan {rows[0][0]}: item {rows[0][1]} was let out and has no operation")
