"""A guard over the whole plan holds its lane, says so in a row, and lets everything else go on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.bootstrap import build_lane_limits
from gateway.flows.periods import reopen_period, sign_period
from gateway.flows.undo import begin_undo, undo_run
from gateway.reconcile.lanes import OP_OF_GUARD
from gateway.report.guards import iter_trials, show_guards
from gateway.sandbox.portal.school_course import FIRST_COURSE as COURSE

LANES = {*OP_OF_GUARD, "lane_deletes"}
"""Guards over a whole plan."""


def change_marks(world: Any, count: int) -> int:
    """Change delivered marks of the gradebook; how many."""
    cells = [(user, item) for user, item in world.portal.cells(COURSE) if item["itemtype"] == "manual"]
    for user, item in cells[:count]:
        value = 5 if round(item["graderaw"]) != 5 else 3
        world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    return len(cells[:count])


@pytest.mark.row("V1")
def test_too_many_changes_in_a_class_wait_for_a_second_look_and_nothing_else_does(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.until_quiet()
    small.settings_changes["school"] = {"guard_lanes": "hold", "guard_change_count": 1, "guard_past_count": 1000}
    with small.open() as hand:
        changed = change_marks(small, 3)
        assert changed > 1
        before = len(small.city.ledger())

        held = hand.sync()

        plan = held.planned.plan
        assert plan.counters["update"] == 0
        assert plan.by_reason["GUARD_HOLD"] == changed
        assert {row.guard for row in plan.guards} >= {"lane_changes"}
        assert held.exit_code == 3
        assert f"удержано {changed}: " in held.sentence
        assert f"gateway plan approve {plan.hash[:12]} --with-held" in held.sentence
        assert sum(plan.counters[name] for name in plan.counters if name != "read") == plan.counters["read"]
        assert len(small.city.ledger()) == before
        hand.approve(held, with_held=True)
        hand.deliver()
        assert [entry["op"] for entry in small.city.ledger()[before:]] == ["change"] * changed
        hand.assert_sound()


def test_what_a_signature_holds_of_a_held_lane_waits_for_the_second_look_also_in_an_open_hour(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.until_quiet()
    small.settings_changes["school"] = {"guard_lanes": "hold", "guard_change_count": 1, "guard_past_count": 1000}
    with small.open() as hand:
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        changed = change_marks(small, 3)
        before = len(small.city.ledger())
        held = hand.sync()
        until = hand.gateway.now() + timedelta(hours=1)
        opened = reopen_period(hand.gateway, number, until=until, reason="забыли исправления")
        hand.deliver()

        assert held.planned.plan.by_reason["PERIOD_SIGNED"] == changed > 1
        assert "lane_changes" in {row.guard for row in held.planned.plan.guards if row.verdict == "hold"}
        assert (opened.released.queued, len(small.city.ledger())) == (0, before)
        hand.approve(held, with_held=True)
        hand.deliver()
        assert [entry["op"] for entry in small.city.ledger()[before:]] == ["change"] * changed
        hand.assert_sound()


def test_shown_guards_hold_nothing_and_their_table_names_who_may_override(small: Any, tmp_path: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.until_quiet()
        change_marks(small, 2)
        sent = hand.through()
    assert sent.planned.plan.counters["update"] == 2
    config = tmp_path / "gateway.toml"
    settings = small.settings()
    config.write_text(
        f"""
[database]
url = "{small.database_url}"
[portal]
base_url = "{settings.portal.base_url}"
token = "{settings.portal.token.get_secret_value()}"
[mesh]
base_url = "{settings.mesh.base_url}"
school_id = {settings.mesh.school_id}
profile_id = {settings.mesh.profile_id}
token = "{settings.mesh.token.get_secret_value()}"
[school]
year = "2026/27"
guard_change_count = 1
""",
        encoding="utf-8",
    )

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, ["guards", *words, "--config", str(config)])
        assert result.exit_code == 0, result.output
        return result

    table = run("show", "--all").stdout
    assert "завуч" in table
    assert "вся школа" in table
    rows = json.loads(run("show", "--json").stdout)["guards"]
    assert {"guard", "scope", "limit", "actual", "verdict", "override", "in_force"} == set(rows[0])
    gone = [row for row in rows if row["verdict"] == "hold" and not row["in_force"]]
    words = " ".join(run("show").stdout.split())
    assert gone
    assert "показано:" in words
    assert "ничего не держит" in words
    meant = CliRunner().invoke(app, ["plan", "show", "--json", "--config", str(config)])
    assert "удержанное" not in json.loads(meant.stdout)["impact"]["sentence"]
    tried = json.loads(run("try", "--nights", "366", "--change-count", "1", "--past-count", "1000", "--json").stdout)
    assert any("lane_changes mark|*" in one["held_then"] for one in tried["plans"])
    assert "было бы" in run("try", "--nights", "366").stdout


@pytest.mark.parametrize(
    ("limits_of_school", "is_held"), [({"guard_change_count": 1}, True), ({"guard_minimum_count": 2}, False)]
)
def test_a_trial_by_the_limits_of_that_night_says_what_each_plan_was_held_by(
    small: Any, limits_of_school: dict[str, int], is_held: bool
) -> None:
    """A first load, a night of changes, one of nothing, an undo: whatever has been delivered since, let out or taken back."""
    small.settings_changes["school"] = {"guard_lanes": "hold", "guard_past_count": 1000, **limits_of_school}
    with small.open() as hand:
        hand.link_everybody()
        since = hand.gateway.now()
        made = [hand.sync().planned.plan]
        hand.approve(hand.sync(), with_held=True)
        hand.deliver()
        change_marks(small, 3)
        changed = hand.sync()
        made.append(changed.planned.plan)
        hand.approve(changed, with_held=True)
        hand.deliver()
        made.append(hand.sync().planned.plan)
        taken_back = undo_run(hand.gateway, changed.run_id, begin_undo(hand.gateway, changed.run_id)).plan
        limits = build_lane_limits(hand.gateway.settings)
        place_id = hand.place_id()
        with hand.gateway.store.read() as conn:
            trials = {one.plan_id: one for one in iter_trials(conn, place_id, since=since, limits=limits, tried=limits)}
            shown = show_guards(conn, place_id, taken_back, limits)

    for plan in (*made, taken_back):
        then = sorted(f"{row.guard} {row.scope}" for row in plan.guards if row.verdict == "hold" and row.guard in LANES)
        assert sorted(trials[plan.id].held) == then, plan.id
    assert [len(trials[plan.id].held) > 0 for plan in made] == [False, is_held, False]
    assert [row for row in shown if row.verdict == "hold" and not row.in_force] == [], (
        "as it was judged, so it is shown"
    )
