"""The demo as a stranger meets it: one command, one JSON object, every promise of it in numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PULL_COUNTS = {"read", "new", "changed", "gone", "unchanged"}
PLAN_COUNTS = {
    "read",
    "create",
    "update",
    "delete",
    "unchanged",
    "adopted",
    "held",
    "waiting",
    "rejected",
    "out_of_scope",
}
KINDS = {
    "programme",
    "person",
    "group",
    "membership",
    "subject",
    "period",
    "lesson",
    "mark",
    "absence",
    "homework",
    "attempt",
}


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo")
    done = _run("demo", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_stdout_is_one_object_with_exactly_the_promised_keys(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo

    assert set(told) == {"pull", "plan", "by_reason", "delivery", "second_plan", "audit", "duration_s"}
    assert set(told["pull"]) == KINDS
    assert all(set(counts) == PULL_COUNTS for counts in told["pull"].values())
    assert set(told["plan"]) == set(told["second_plan"]) == PLAN_COUNTS
    assert set(told["delivery"]) == {"sent", "accepted", "verified", "parked"}
    assert set(told["audit"]) == {"entries", "chain_ok"}


def test_the_recordings_marks_are_all_read(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo

    assert told["pull"]["mark"]["read"] == 284
    for counts in told["pull"].values():
        assert counts["read"] == counts["new"] + counts["changed"] + counts["unchanged"]


def test_a_plans_counters_sum_to_what_was_read(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo

    for name in ("plan", "second_plan"):
        counts = told[name]
        assert counts["read"] == sum(count for key, count in counts.items() if key != "read"), name
    assert sum(told["by_reason"].values()) == told["plan"]["read"]


def test_what_was_planned_was_delivered_and_the_next_plan_is_empty(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo

    assert told["delivery"] == {
        "sent": told["plan"]["create"],
        "accepted": told["plan"]["create"],
        "verified": told["plan"]["create"],
        "parked": 0,
    }
    assert told["plan"]["create"] > 0
    assert [told["second_plan"][op] for op in ("create", "update", "delete")] == [0, 0, 0]
    assert told["audit"]["chain_ok"] is True
    assert told["audit"]["entries"] > told["plan"]["create"]


def test_the_folder_it_leaves_can_be_looked_into(demo: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = demo
    config = ("--config", "gateway-demo/gateway.toml")

    shown = _run("plan", "show", "--json", *config, cwd=folder)
    parked = _run("queue", "--state", "parked", "--json", *config, cwd=folder)
    verified = _run("audit", "verify", "--json", *config, cwd=folder)
    runs = _run("runs", "--json", *config, cwd=folder)

    lines = json.loads(shown.stdout)["lines"]
    assert sorted(line["reason"] for line in lines if line["category"] == "held") == ["DRIFT", "SOURCES_DISAGREE"]
    (refused,) = json.loads(parked.stdout)["operations"]
    assert refused["reason"] == "REJECTED_TARGET"
    assert "урок отменён" in refused["sentence"]
    assert json.loads(verified.stdout)["chain_ok"] is True
    assert [run["form"] for run in json.loads(runs.stdout)["runs"]] == ["sync", "sync", "plan", "sync"]


def test_for_people_it_ends_with_what_to_type_next(tmp_path: Path) -> None:
    done = _run("demo", "--folder", "here", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "gateway plan show --config here/gateway.toml" in done.stdout
    assert "Расхождение" in done.stdout
    assert "Город отказал" in done.stdout
    assert "Портал и планировщик вместе" in done.stdout
    assert "Разные слова" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_made_up_school_goes_the_same_way(tmp_path: Path) -> None:
    done = _run("demo", "--json", "--pupils", "30", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["plan"]["create"] == told["delivery"]["verified"] > 100
    assert [told["second_plan"][op] for op in ("create", "update", "delete")] == [0, 0, 0]


def test_a_sandbox_of_a_demo_that_was_killed_ends_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "sandbox", "portal", "--pupils", "10", "--json", "--with-parent"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as sandbox:
        assert sandbox.stdout is not None
        assert sandbox.stdin is not None
        assert json.loads(sandbox.stdout.readline())["sandbox"] == "portal"

        sandbox.stdin.close()  # what the kernel does to a parent that is killed

        assert sandbox.wait(timeout=30) is not None
