"""`gateway audit` says what was found, and its exit code says it to scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from gateway.audit.checkpoint import find_checkpoints
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.sink import SinkFile
from gateway.cli.app import app
from gateway.domain.clock import SystemClock
from gateway.store.epoch import bump_epoch
from gateway.store.transaction import Store

NOBODY = "http://127.0.0.1:9"  # the audit's commands ask neither portal nor city


class School:
    """A folder with settings and a database in which a run of 130 deeds has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sink = folder / "gateway-audit.jsonl"
        self.config = folder / "gateway.toml"
        self.write_settings()
        self.append(129)

    def write_settings(self, audit: str = "") -> None:
        database = (self.folder / "gateway.sqlite").as_posix()
        self.config.write_text(
            f'[database]\nurl = "sqlite:///{database}"\n[portal]\nbase_url = "{NOBODY}"\ntoken = "t"\n'
            f'[mesh]\nbase_url = "{NOBODY}"\nschool_id = 1\nprofile_id = 1\ntoken = "t"\n[audit]\n{audit}',
            encoding="utf-8",
        )

    def change(self, act: Callable[[Store], None]) -> None:
        store = Store.open(f"sqlite:///{self.folder / 'gateway.sqlite'}", SystemClock())
        try:
            act(store)
        finally:
            store.close()

    def append(self, count: int) -> None:
        """A run of so many deeds and its end."""

        def act(store: Store) -> None:
            log = AuditLog(store, environment="test", code_version="0.1.0", sink=SinkFile(self.sink))
            deed = Deed(action="operation.verified", actor=Actor("service", "worker"), run_id=1, outcome="confirmed")
            with store.write() as conn:
                log.append_many(conn, [deed] * count)
                log.append(conn, Deed(action="run.finished", actor=Actor("service", "worker")), is_run_end=True)

        self.change(act)

    def run(self, *words: str, expect: int = 0) -> Result:
        result = CliRunner().invoke(app, ["audit", *words, "--config", str(self.config)])
        assert result.exit_code == expect, result.output
        return result


@pytest.fixture
def school(tmp_path: Path) -> School:
    return School(tmp_path)


def cut_off(store: Store) -> None:
    with store.write() as conn:
        for table in ("audit_entry", "audit_checkpoint"):
            conn.execute(text(f"DROP TRIGGER {table}_no_delete"))
        conn.execute(text("DELETE FROM audit_entry WHERE seq > 99"))
        conn.execute(text("DELETE FROM audit_checkpoint"))


def test_a_printed_checkpoint_is_read_back_and_finds_a_cut_off_end(school: School) -> None:
    printed = school.run("checkpoint").stdout
    kept = school.folder / "report.txt"
    kept.write_text(f"Отчёт за ночь\n{printed}", encoding="utf-8")

    assert [(point.stream, point.count) for point in find_checkpoints(printed)] == [("deeds", 130)]
    assert "сверено: 1" in school.run("verify", "--checkpoint", str(kept)).stdout
    school.change(cut_off)
    school.run("verify")
    assert "запись 100 отсутствует" in school.run("verify", "--checkpoint", str(kept), expect=1).stdout


def test_checkpoints_as_json_are_the_stored_ones(school: School) -> None:
    (told,) = json.loads(school.run("checkpoint", "--json").stdout)["checkpoints"]

    assert (told["stream"], told["size"], told["epoch"]) == ("deeds", 130, 1)
    assert told["line"] == f"deeds 130 {told['root']}"


def test_the_sink_is_compared_when_asked_for(school: School) -> None:
    told = school.run("verify", "--sink").stdout
    as_json = json.loads(school.run("verify", "--sink", "--json").stdout)

    assert "общих с базой записей 130" in told.replace("\n", " ")
    assert as_json["chain_ok"] is as_json["sink_ok"] is True
    assert "sink" not in json.loads(school.run("verify", "--json").stdout)


def test_a_cut_off_end_that_the_sink_still_has_is_a_fault(school: School) -> None:
    school.change(cut_off)

    assert "100–130" in school.run("verify", "--sink", expect=1).stdout


def test_a_restored_database_is_a_remark_with_numbers(school: School) -> None:
    file = school.folder / "gateway.sqlite"
    shutil.copy(file, school.folder / "backup")
    school.append(9)
    shutil.copy(school.folder / "backup", file)

    def begin_epoch(store: Store) -> None:
        with store.write() as conn:
            bump_epoch(conn)

    school.change(begin_epoch)
    school.append(4)

    told = school.run("verify", "--sink", expect=3).stdout.replace("\n", " ")
    assert "10 записей, которых в базе нет: 131–140 (эпоха 1)" in told


@pytest.mark.parametrize("content", [None, "nothing of the kind"])
def test_a_file_without_a_checkpoint_is_a_wrong_argument_and_no_success(school: School, content: str | None) -> None:
    file = school.folder / "empty.txt"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    school.run("verify", "--checkpoint", str(file), expect=2)


def test_an_export_brings_its_verifier(school: School) -> None:
    school.run("export", str(school.folder / "audit.jsonl"))

    assert (school.folder / "verify_audit.py").exists()


def check_line(school: School) -> dict[str, str]:
    told = CliRunner().invoke(app, ["check", "--json", "--config", str(school.config)])
    lines = json.loads(told.stdout)["lines"]
    return next(line for line in lines if line["subject"] == "audit.sink")


def test_check_says_that_the_sink_is_on_the_databases_disk(school: School) -> None:
    line = check_line(school)

    assert line["state"] == "warning"
    assert "на том же диске" in line["sentence"]


def test_check_fails_while_the_sink_can_not_be_written(school: School) -> None:
    school.write_settings(f'sink_file = "{(school.folder / "missing" / "audit.jsonl").as_posix()}"')

    line = check_line(school)

    assert line["state"] == "failed"
    assert "не пишется с" in line["sentence"]
