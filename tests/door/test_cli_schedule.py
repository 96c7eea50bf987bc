"""gateway schedule and the turn of runs, seen from the command line; two of the tests are real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.app import app

NAMES = ["everything", "homework", "marks"]


def write_settings(folder: Path, port: int, extra: str = "") -> Path:
    """Settings whose portal is a socket of the test's own, and whose city nobody gets to."""
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[database]
url = "sqlite:///{(folder / "gateway.sqlite").as_posix()}"
[portal]
base_url = "http://127.0.0.1:{port}"
token = "0123456789abcdef0123456789abcdef"
deadline_s = 600
[mesh]
base_url = "http://127.0.0.1:9"
school_id = 586
profile_id = 1
token = "t"
[school]
year = "2026/27"
{extra}
""",
        encoding="utf-8",
    )
    return path


def invoke(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def tell(config: Path, *words: str) -> Any:
    result = invoke(config, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def start(config: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", *words, "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.fixture
def portal() -> Any:
    """A portal that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.mark.row("B14")
def test_a_second_process_says_which_run_goes_on_and_a_killed_one_gives_its_turn_back(
    tmp_path: Path, portal: socket.socket
) -> None:
    """The first process hangs in the portal; the second is refused by number; the third comes after a kill -9."""
    config = write_settings(tmp_path, portal.getsockname()[1])
    first = start(config, "sync")
    connection, _ = portal.accept()

    second = start(config, "sync")
    _, said = second.communicate(timeout=60)
    assert second.returncode == 3
    assert "Уже выполняется запуск 1" in said

    merged = start(config, "sync", "--merge", "--json")
    told, _ = merged.communicate(timeout=60)
    assert merged.returncode == 3
    assert json.loads(told) == {"run": None, "running": 1, "asked": True, "workers": 0}
    unserved = start(config, "sync", "--merge")
    told, _ = unserved.communicate(timeout=60)
    assert unserved.returncode == 3
    assert "сейчас не работает ни один" in " ".join(told.split()), "nobody is there who would begin it"
    assert [line["name"] for line in tell(config, "schedule", "list")["schedules"]] == [*NAMES, "asked"]

    plan = start(config, "plan")
    plan.communicate(timeout=60)
    assert plan.returncode == 3

    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    connection.close()
    portal.close()
    third = start(config, "sync")
    third.communicate(timeout=60)
    runs = tell(config, "runs")["runs"]
    assert third.returncode == 1  # nobody listens at the portal any more
    assert [(run["id"], run["state"]) for run in runs] == [(2, "failed"), (1, "interrupted")]
    assert runs[1]["sentence"].startswith("Прерван: процесс запуска исчез")
    assert "asked" in [line["name"] for line in tell(config, "schedule", "list")["schedules"]], (
        "a failure answers nothing"
    )
    assert "прерван" in invoke(config, "runs", "show", "1").output


def test_ctrl_c_ends_the_run_with_a_word(tmp_path: Path, portal: socket.socket) -> None:
    config = write_settings(tmp_path, portal.getsockname()[1])
    process = start(config, "sync")
    connection, _ = portal.accept()

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    connection.close()
    assert [run["state"] for run in tell(config, "runs")["runs"]] == ["interrupted"]


def test_the_default_schedules_are_there_unasked(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 9)

    lines = {line["name"]: line for line in tell(config, "schedule", "list")["schedules"]}

    assert sorted(lines) == NAMES
    assert lines["everything"]["cron"] == ["0 2 * * *"]
    assert lines["homework"]["cron"] == ["30 15 * * *", "0 18 * * *"]
    assert lines["marks"]["cron"] == ["0 8-20 * * *"]
    assert all(line["next_at"] is not None and line["last_run"] is None for line in lines.values())
    table = invoke(config, "schedule", "list").output
    assert all(name in table for name in NAMES)
    assert "30 15 * * *" in table
    assert "само не начнётся ничего" in " ".join(table.split()), (
        "no worker lives, and a night that nobody begins must not look well"
    )


def test_a_table_changes_one_default_and_adds_another_schedule(tmp_path: Path) -> None:
    config = write_settings(
        tmp_path,
        9,
        """
[schedule.marks]
mode = "off"
[schedule.seventh]
cron = "0 7 * * 1-5"
classes = ["7а"]
window = "06:00-09:00"
[schedule.silent]
from = "2026-08-25"
to = "2026-09-05"
""",
    )

    told = tell(config, "schedule", "list")

    lines = {line["name"]: line for line in told["schedules"]}
    assert sorted(lines) == [*NAMES, "seventh"]
    assert lines["marks"]["next_at"] is None
    assert lines["seventh"]["classes"] == ["7а"]
    assert told["silent"] == [{"from_on": "2026-08-25", "to_on": "2026-09-05"}]


def test_the_next_runs_are_told_in_their_order(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 9)

    told = tell(config, "schedule", "next", "--count", "30")["next"]

    moments = [one["at"] for one in told]
    assert len(told) == 30
    assert moments == sorted(moments)
    assert {one["name"] for one in told} == set(NAMES)


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ('[schedule.x]\ncron = "0 25 * * *"', "schedule.x.cron"),
        ('[schedule.x]\nwindow = "08:00-20:00"', "schedule.x.cron"),
        ('[schedule.x]\ncron = "0 2 * * *"\nwindow = "morning"', "schedule.x.window"),
        ('[schedule.held]\ncron = "0 2 * * *"', "schedule"),
        ('[schedule.silent]\nfrom = "2026-09-05"\nto = "2026-08-25"', "schedule.silent"),
        ('[schedule]\nheartbeat_ulr = "http://x"', "schedule.heartbeat_ulr"),
        ('[schedule]\nnightly = "0 2 * * *"', "schedule.nightly"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, extra: str, setting: str) -> None:
    result = invoke(write_settings(tmp_path, 9, extra), "schedule", "list")

    assert result.exit_code == 2
    assert setting in result.output


def test_an_unknown_name_is_a_usage_error_that_names_the_known_ones(tmp_path: Path) -> None:
    result = invoke(write_settings(tmp_path, 9), "schedule", "run", "nightly")

    assert result.exit_code == 2
    assert "everything, homework, marks" in " ".join(result.output.split())


def test_a_schedule_run_by_hand_that_fails_names_its_run(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 9)

    result = invoke(config, "schedule", "run", "everything")

    assert result.exit_code == 1
    assert "gateway runs show 1" in result.output
    assert [(run["form"], run["state"]) for run in tell(config, "runs")["runs"]] == [("schedule", "failed")]
