"""Every verb of the command line against both sandboxes: what it prints, and the exit code that scripts trust."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

import gateway.bootstrap
from gateway.cli.app import app
from gateway.domain.clock import ShiftedClock
from gateway.mapping.roster_file import RosterRow, write_template
from gateway.sandbox.city import build_city_app, build_like
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.serve import serve_in_thread

NOW = datetime.fromisoformat("2026-11-23T19:30:00+03:00")


class School:
    """Both sandboxes and a folder with the settings that name them."""

    def __init__(self, folder: Path, portal_url: str, city_url: str, admin: dict[str, Any]) -> None:
        self.folder = folder
        self.portal_url = portal_url
        self.city_url = city_url
        self.token = admin["token"]
        self.config = folder / "gateway.toml"
        self.config.write_text(
            f"""
[database]
url = "sqlite:///{(folder / "gateway.sqlite").as_posix()}"
[portal]
base_url = "{portal_url}"
token = "{DEFAULT_TOKEN}"
[mesh]
base_url = "{city_url}"
school_id = 586
profile_id = {admin["profile_id"]}
token = "{self.token}"
rate_per_s = 500
settle_s = 0.5
deadline_s = 5
[school]
year = "2026/27"
""",
            encoding="utf-8",
        )

    def run(self, *words: str, expect: int = 0, typed: str | None = None) -> Result:
        """Run a command with the folder's settings and hold its exit code against the expected one."""
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)], input=typed)
        assert result.exit_code == expect, f"{words}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *words: str, expect: int = 0) -> Any:
        """Run a command with `--json` and parse the whole of stdout."""
        return json.loads(self.run(*words, "--json", expect=expect).stdout)


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    clock = ShiftedClock(NOW)
    monkeypatch.setattr(gateway.bootstrap, "SystemClock", lambda: clock)
    with serve_in_thread(build_replay_app(read_recording(), now=clock.now)) as portal:
        city_app = build_city_app(like=build_like(portal.base_url, DEFAULT_TOKEN), now=clock.now, rate_per_s=None)
        with serve_in_thread(city_app) as city:
            admin = next(
                profile for profile in city_app.state.city.describe()["profiles"] if profile["role"] == "school_admin"
            )
            yield School(tmp_path, portal.base_url, city.base_url, admin)


def test_init_writes_two_files_once_and_they_load(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["init", str(tmp_path / "new")])
    again = CliRunner().invoke(app, ["init", str(tmp_path / "new")])

    assert first.exit_code == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"gateway.toml", "mapping.toml"}
    assert again.exit_code == 2
    assert "--force" in again.stderr


@pytest.mark.skipif(os.name != "posix", reason="who may read a file is asked on POSIX only")
def test_only_its_owner_reads_the_settings_that_init_writes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text("", encoding="utf-8")
    path.chmod(0o644)

    CliRunner().invoke(app, ["init", str(tmp_path), "--force"])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_demo_of_no_pupils_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for count in ("0", "-3"):
        result = CliRunner().invoke(app, ["demo", "--pupils", count, "--folder", str(tmp_path / "demo")])
        assert result.exit_code == 2

    assert list(tmp_path.iterdir()) == []


def test_an_unset_city_is_named_by_its_setting(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])

    result = CliRunner().invoke(app, ["pull", "--config", str(tmp_path / "gateway.toml")])

    assert result.exit_code == 2
    assert "mesh.base_url" in result.stderr
    assert result.stdout == ""


def test_check_of_a_new_folder_names_all_that_is_missing_and_makes_nothing(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    before = sorted(tmp_path.iterdir())

    shown = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "gateway.toml")])
    told = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "gateway.toml"), "--json"])

    assert (shown.exit_code, told.exit_code) == (2, 2)
    assert [line["subject"] for line in json.loads(told.stdout)["lines"]] == [
        "portal.base_url",
        "portal.token",
        "mesh.base_url",
        "mesh.token",
    ]
    assert shown.stdout.count("не задано") == 4
    assert "[mesh.profiles.ИМЯ]" in shown.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_check_says_a_line_each_and_never_a_secret(school: School) -> None:
    shown = school.run("check")
    told = school.json("check")

    assert told["ok"] is True
    assert len(told["lines"]) > 8
    assert ("settings", "warning") in {(line["subject"], line["state"]) for line in told["lines"]}  # its mode is 644
    for text in (shown.stdout, shown.stderr, json.dumps(told)):
        assert school.token not in text
        assert DEFAULT_TOKEN not in text


def test_check_fails_where_the_portal_is_away(school: School) -> None:
    school.config.write_text(
        school.config.read_text(encoding="utf-8").replace(school.portal_url, "http://127.0.0.1:9"), encoding="utf-8"
    )

    told = school.json("check", expect=1)

    assert told["ok"] is False
    assert any(line["state"] == "failed" for line in told["lines"])


def test_the_whole_way_by_hand(school: School) -> None:
    pulled = school.json("pull")
    assert pulled["mark"]["read"] == 284

    planned = school.json("plan", expect=4)
    assert planned["state"] == "waiting_approval"
    assert planned["plan"]["waiting"] > 0  # a third of the pupils has no person_id

    shown = school.run("plan", "show")
    assert "поставить" in shown.stdout
    assert planned["plan_hash"][:12] in shown.stdout

    school.run("plan", "approve", "abc", "--reason", "x", expect=4)
    released = school.json("plan", "approve", planned["plan_hash"][:12], "--reason", "первое заполнение")
    assert released["released"]["queued"] == planned["plan"]["create"]
    school.run("plan", "approve", planned["plan_hash"], "--reason", "ещё раз", expect=4)

    delivered = school.json("deliver")
    assert delivered["delivery"]["verified"] == planned["plan"]["create"]

    again = school.json("sync")
    assert again["delivery"] == {"sent": 0, "accepted": 0, "verified": 0, "parked": 0}
    assert again["sentence"] == "Отправлять было нечего"
    assert school.json("audit", "verify")["chain_ok"] is True
    assert [run["form"] for run in school.json("runs")["runs"]] == ["sync", "deliver", "plan", "pull"]
    assert school.json("queue")["states"] == {"verified": planned["plan"]["create"]}


def test_what_a_person_typed_meanwhile_drops_out_of_an_approved_plan_and_is_named(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.flows.freshen.FRESH_S", 0.0)
    school.json("pull")
    planned = school.json("plan", expect=4)
    with closing(sqlite3.connect(school.folder / "gateway.sqlite")) as base:
        query = "SELECT intent FROM decision WHERE kind = 'mark' AND op = 'create' AND gate <> 'refused' ORDER BY seq"
        intent = json.loads(base.execute(query).fetchone()[0])
    cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
    typed = {"value": intent["value"], "weight": 1, "control_form_id": intent["form_id"]}
    body = {"op": "create", "kind": "mark", "cell": cell, **typed}
    httpx.post(f"{school.city_url}/__sandbox/human", json=body, trust_env=False).raise_for_status()

    said = school.run("plan", "approve", planned["plan_hash"], "--reason", "первое").stdout

    assert "выпало 1" in said
    assert said.count("(выпало:") == 1


def test_the_office_list_links_those_whom_the_portal_does_not_name(school: School) -> None:
    school.run("pull")
    pupils = httpx.get(f"{school.city_url}/__sandbox/state", trust_env=False).json()["like"]["pupils"]
    rows = [
        RosterRow(
            sheet="Ученики",
            number=number,
            portal_id=str(pupil["portal_id"]),
            last_name=pupil["last_name"] if number > 2 else "Чужая",
            first_name=pupil["first_name"],
            class_name=pupil["class"],
            person_id=pupil["person_id"],
        )
        for number, pupil in enumerate(pupils, start=2)
    ]
    write_template(school.folder / "list.xlsx", rows)

    tried = school.json("links", "import", str(school.folder / "list.xlsx"), "--dry-run", expect=3)
    waiting_before = len(school.json("links", "list", "--waiting")["waiting"])
    made = school.json("links", "import", str(school.folder / "list.xlsx"), expect=3)
    again = school.json("links", "import", str(school.folder / "list.xlsx"), expect=3)

    assert tried["links"]["confirmed"] == made["links"]["confirmed"] > 0
    assert [row["reason"] for row in made["links"]["refused"]] == ["NAME_PORTAL"]
    assert waiting_before >= made["links"]["confirmed"] - 1
    assert again["links"]["confirmed"] == 0


def test_a_dry_run_stops_after_a_plan_that_can_not_be_sent(school: School) -> None:
    tried = school.json("sync", "--dry-run")

    assert "delivery" not in tried
    refused = school.run("plan", "approve", tried["plan_hash"], "--reason", "проба", expect=4)
    assert "проба" in refused.stderr
    requests = httpx.get(f"{school.city_url}/__sandbox/ledger", trust_env=False).json()
    assert requests == []


def test_the_scope_flags_narrow_what_is_planned(school: School) -> None:
    school.run("pull")
    whole = school.json("plan", expect=4)
    one_class = school.json("plan", "--class", "7а", expect=4)
    one_pupil = school.json("plan", "--pupil", "user:3", expect=4)
    one_day = school.json("plan", "--from", "2026-11-10", "--to", "2026-11-10", expect=4)

    assert 0 < one_class["plan"]["create"] < whole["plan"]["create"]
    assert 0 < one_pupil["plan"]["create"] < one_class["plan"]["create"]
    lines = school.json("plan", "show", one_day["plan_hash"])["lines"]
    assert {line["on"] for line in lines} == {"2026-11-10"}


def test_a_wrong_word_is_a_usage_error_with_a_sentence(school: School) -> None:
    school.run("pull")
    school.run("plan", expect=4)

    for words, said in (
        (("plan", "--from", "10.11"), "--from"),
        (("sync", "--from", "2026-11-11", "--to", "2026-11-10"), "2026-11-11"),
        (("sync", "--class", "?"), "--class"),
        (("sync", "--pupil", "user:999999"), "--pupil"),
        (("runs", "show", "999"), "999"),
        (("plan", "show", "--category", "bogus"), "out_of_scope"),
        (("plan", "show", "--reason", "BOGUS"), "DRIFT"),
        (("queue", "--state", "bogus"), "superseded"),
    ):
        result = school.run(*words, expect=2)

        assert result.stdout == "", words
        assert "ConfigurationError" in result.stderr, words
        assert said in result.stderr, words


def test_an_export_is_written_with_its_checkpoint(school: School) -> None:
    school.run("pull")

    report = school.json("audit", "export", str(school.folder / "audit.jsonl"))

    assert report["entries"] >= 2
    assert (school.folder / "audit.jsonl").read_text(encoding="utf-8").count("\n") > report["entries"] - 1


def test_a_real_host_is_confirmed_by_its_typed_name_once_and_audited(school: School) -> None:
    refused = school.run("check", "--confirm-real-host", "127.0.0.1", expect=2)
    assert "mesh.real_host" in refused.stderr
    text = school.config.read_text(encoding="utf-8")
    both = 'school_id = 586\nreal_host = true\nreal_host_name = "127.0.0.1"'
    school.config.write_text(text.replace("school_id = 586", both), encoding="utf-8")

    mistyped = school.run("check", "--confirm-real-host", "127.0.0.2", expect=2)
    school.run("check", "--confirm-real-host", "127.0.0.1")

    assert "не совпадает" in mistyped.stderr
    entries = school.json("audit", "list", "--action", "host.confirmed")["entries"]
    assert [entry["object_id"] for entry in entries] == ["127.0.0.1/main"]


def test_protocols_of_tests_are_pulled_shown_and_checked(school: School) -> None:
    school.run("pull")
    kept = school.json("protocol", "pull")["protocols"]
    # the recording has the reviews of twelve attempts; those it does not give are left aside
    assert (kept["read"], kept["waiting"]) == (12, 0)
    assert kept["refused"] > 0

    [one] = school.json("protocol", "show", "attempt:1")["protocols"]
    assert [asked["answer"] for asked in one["questions"]] == ["True", "False", "True", "False"]
    assert [asked["result"] for asked in one["questions"]] == ["right", "right", "right", "wrong"]
    assert (one["protocol"]["points"], one["protocol"]["maximum"]) == (7.5, 10)
    shown = school.run("protocol", "show", "user:3").stdout
    assert "Утверждение 1 верно?" in shown
    assert "неверно" in shown
    assert set(school.json("protocol", "check")["counts"]) == {"agrees"}
    assert "дают ту же оценку" in school.run("protocol", "check").stdout
    school.run("protocol", "show", "attempt:999999", expect=2)


def test_activity_is_pulled_shown_and_counted(school: School) -> None:
    url = f"sqlite:///{(school.folder / 'events.sqlite').as_posix()}"
    written = CliRunner().invoke(app, ["sandbox", "event-log", url, "--pupils", "3", "--json"])
    assert written.exit_code == 0
    assert "не читается" in school.run("activity", "pull").stdout
    school.config.write_text(
        f'{school.config.read_text(encoding="utf-8")}\n[activity]\nurl = "{url}"\n', encoding="utf-8"
    )
    school.run("activity", "pull", expect=2)  # nobody is known yet
    school.run("pull")

    taken = school.json("activity", "pull")["activity"]
    # the recording's people are others than the made-up school's: all that is left is one teacher of each
    assert taken["read"] == json.loads(written.stdout)["rows"]
    assert taken["left_out"]["stranger"] > 0
    kinds = school.json("activity", "kinds", "--events")
    assert kinds["stored"] == taken["stored"]
    assert {one["is"] for one in kinds["events"]} >= {"entered", "viewed", "technical"}
    assert "вход (entered)" in school.run("activity", "kinds", "--events").stdout
    found = school.json("activity", "show", "user:10", "--limit", "5")["activity"]
    assert all(one["person"] == "user:10" for one in found)
    assert "Активность user:10" in school.run("activity", "show", "user:10", "--from", "2026-11-01").stdout
    school.run("activity", "show", "user:10", "--kind", "slept", expect=2)
    lines = {line["subject"]: line["sentence"] for line in school.json("check")["lines"]}
    assert "прочитано до" in lines["activity"]
