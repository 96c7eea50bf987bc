"""Whatever the command line prints of a child leaves its `access` entry: one a command, and one a child, without a name."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.access.roles import Role, Tie
from gateway.audit.read import verify
from gateway.audit.subjects import find_pseudonyms
from gateway.flows.gateway import Gateway
from gateway.flows.mapping_life import draft_version
from gateway.flows.sync import Exit
from gateway.flows.undo import Undo
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.mapping.tables import mapping_case, mapping_version, source_conflict
from gateway.queue.tables import operation
from gateway.reconcile.plan import load_plan
from gateway.reconcile.tables import discrepancy
from tests.door.api.command_line import Typed, build_typed
from tests.door.api.route_cases import corrected, held, store_directory
from tests.door.api.test_api_verbs import iter_verbs

__all__ = ["build_typed"]

LOOKING = {
    "activity show": ("user:1",),
    "audit export": ("OUT",),
    "discrepancies": (),
    "discrepancies choose": ("ignore", "DISCREPANCY", "--until", "2026-12-10", "--reason", "проба", "--preview"),
    "discrepancies show": ("DISCREPANCY",),
    "hand-list": (),
    "holds": (),
    "incidents show": ("1",),
    "journal list": (),
    "links candidates": (),
    "links list": (),
    "links show": ("user:1",),
    "mapping preview": ("1",),
    "mapping show": ("1",),
    "passport": ("mark:1:user:1",),
    "plan show": ("HASH",),
    "protocol check": (),
    "protocol show": ("user:1",),
    "queue": ("--state", "parked"),
    "relinks": (),
    "relinks show": ("1",),
    "runs undo": ("1",),
    "sources conflicts": (),
    "support-bundle": ("operation:1", "--out", "OUT"),
    "tasks": (),
    "users list": (),
}
"""Commands that print what is a child's, with words that make them find something."""
NOBODYS = """
activity kinds, activity pull, audit checkpoint, audit list, audit verify, backup, calendar check, calendar import,
calendar show, calendar template, check, coverage, deliver, demo, discrepancies assign, discrepancies dispute,
 discrepancies groups, discrepancies precedents, discrepancies precedents backtest,
discrepancies precedents make, discrepancies precedents off, discrepancies precedents on, discrepancies wait, emptied,
guards show, guards try, hand-list back, hand-list outage, hand-list put, holds add, holds lift, incidents,
incidents found, incidents notified, init, journal add, journal withdraw, links confirm, links drop, links import,
links merge, links reject, links split, links template, mapping activate, mapping backtest, mapping draft,
mapping list, mapping map-value, mapping propose, mapping rollback, mapping unmapped, mapping withdraw, periods approve,
periods propose, periods reopen, periods show, periods sign, plan, plan approve, plan propose, planner lint,
planner template, protocol pull, pull, queue replay, relinks approve, relinks withdraw, restore, runs, runs show,
sandbox city, sandbox event-log, sandbox export, sandbox planner, sandbox portal, schedule list, schedule next,
schedule run, serve, simulate, sources list, stop-sending, sync, tasks done, users add, users disable, users enable,
users password, users relate, users role, users token, verify, worker
"""
"""Commands that answer with numbers, states and reasons, or with what was typed into them a moment ago."""
CODES = {"runs undo": Exit.PERSON}
"""Exit codes of those that end with a person's word wanted."""
ONLY_WHERE_SOMETHING_IS_CORRECTED = {"mapping correction"}


@pytest.fixture
def staffed(school: Any) -> Any:
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    corrected(school, school.place_ids[0])
    held(school, school.place_ids[0])
    store_directory(school)
    draft_version(school.gateway, DEFAULT_MAPPING_TOML, name="x", reason="проба")
    with school.gateway.store.write() as conn:
        version = conn.execute(select(mapping_version.c.id)).scalar_one()
        conn.execute(
            insert(mapping_case).values(
                version_id=version, seq=1, kind="mark", ref="mark:1:user:2", outcome="changed", old_reason="",
                new_reason="", is_delivered=False,
            )
        )  # fmt: skip
        conn.execute(update(operation).where(operation.c.ref == "mark:1:user:1").values(state="by_hand"))
        conn.execute(
            insert(source_conflict).values(
                place_id=school.place_ids[0], kind="mark", ref="mark:1:user:2", field="value", group_ref="group:1",
                reason="", owner="teacher", winner="mark:1:user:2", others=["j:mark:1"], rule_version="r",
                seen_at=school.clock.now(), run_id=1,
            )
        )  # fmt: skip
    return school


@pytest.fixture
def undoing(staffed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo makes plan 1: there is no city here that could be read."""

    def undo_run(gateway: Gateway, number: int, run_id: int) -> Undo:
        with gateway.store.read() as conn:
            made = load_plan(conn, 1)
        return Undo(run_id=run_id, undoes=number, plan=made, count=8, left={}, problems=[], sentence="План отмены")

    monkeypatch.setattr("gateway.cli.runs.undo_run", undo_run)


@pytest.fixture
def typed(staffed: Any, build_typed: Any) -> Typed:
    made: Typed = build_typed(staffed)
    return made


def words_of(school: Any, verb: str) -> list[str]:
    with school.gateway.store.read() as conn:
        number = conn.execute(
            select(discrepancy.c.id).where(
                discrepancy.c.place_id == school.place_ids[0], discrepancy.c.ref == "mark:1:user:1"
            )
        ).scalar_one()
    out = school.folder / ("bundle.zip" if verb == "support-bundle" else "audit.jsonl")
    given = {"DISCREPANCY": str(number), "HASH": school.hashes[1], "OUT": str(out)}
    return [*verb.split(), *(given.get(word, word) for word in LOOKING[verb])]


def shown_pupils(school: Any, text: str) -> set[str]:
    return {ref for ref, name in school.surnames.items() if name in text or f'"{ref}"' in text or f":{ref}" in text}


@pytest.mark.usefixtures("undoing")
@pytest.mark.parametrize("verb", sorted(LOOKING))
def test_a_command_that_shows_a_child_writes_who_looked_and_how_far(verb: str, staffed: Any, typed: Typed) -> None:
    before = len(staffed.entries())
    told = typed(*words_of(staffed, verb), "--json", code=CODES.get(verb, Exit.DONE)).stdout

    fresh = staffed.entries()[before:]
    (look,) = [entry for entry in fresh if entry.action == "data.shown"]
    assert (look.actor_kind, look.is_authenticated, look.subject, look.outcome) == ("os_user", False, None, "shown")
    assert look.object_type.replace("_", "-").startswith(verb.split()[0])
    assert look.object_id
    everything = " ".join(str(entry) for entry in fresh)
    assert not any(name in everything for name in staffed.surnames.values())
    assert "user:" not in everything
    told_of = shown_pupils(staffed, told)
    with staffed.gateway.store.read() as conn:
        known = find_pseudonyms(conn, staffed.gateway.place, [*staffed.surnames, "city-pupil:1001"])
    named = {known.get("city-pupil:1001" if ref == "user:1" else ref) for ref in told_of}
    assert named <= {entry.subject for entry in fresh}, "each child who is told of has an entry of its own"
    assert verify(staffed.gateway.store, "access").ok


def test_every_command_says_whether_it_shows_a_child() -> None:
    nobodys = {" ".join(verb.split()) for verb in NOBODYS.split(",")}

    assert set(iter_verbs()) == LOOKING.keys() | nobodys | ONLY_WHERE_SOMETHING_IS_CORRECTED
    assert not LOOKING.keys() & nobodys


def test_nothing_is_printed_when_the_look_cannot_be_written(
    staffed: Any, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("gateway.audit.log.check_deed", full)
    refused = typed("plan", "show", staffed.hashes[1], code=1)

    assert "AUDIT" in refused.stderr
    assert not any(name in refused.output for name in staffed.surnames.values())
