"""`gateway simulate` for anyone: one table, one JSON object, and a failing exit where something was violated."""

from __future__ import annotations

import json
from types import ModuleType

from typer.testing import CliRunner

from gateway.cli.app import app


def test_the_command_prints_one_json_object() -> None:
    done = CliRunner().invoke(app, ["simulate", "--seeds", "2", "--from", "3", "--processes", "1", "--json"])

    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["seeds"], facts["first_seed"], facts["violations"]) == (2, 3, 0)
    assert facts["simulated_h"] > 1
    assert facts["effects"] > 0


def test_a_violation_is_told_with_its_seed_and_ends_with_one(planted: ModuleType) -> None:
    with planted.planted("namesake"):
        done = CliRunner().invoke(app, ["simulate", "--seeds", "3", "--processes", "1"])

    assert done.exit_code == 1
    assert "seed=" in done.stdout
    assert "commit=" in done.stdout
    assert "gateway simulate --seeds 1 --from" in done.stdout


def test_no_seeds_is_a_usage_error() -> None:
    done = CliRunner().invoke(app, ["simulate", "--seeds", "0"])

    assert done.exit_code == 2
