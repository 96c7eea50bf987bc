"""What ends a command unforeseen: its class and place are told, its text is not, because it may quote a child."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

import gateway.cli.runs
from gateway.cli.app import run_cli
from gateway.cli.usage import in_russian
from gateway.flows.gateway import Gateway
from gateway.flows.runs import RunRow

CANARY = "Незабудкина Аграфена"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
[database]
url = "sqlite:///{(tmp_path / "gateway.sqlite").as_posix()}"
[portal]
base_url = "http://127.0.0.1:9"
token = "{"0" * 32}"
[mesh]
base_url = "http://127.0.0.1:9"
school_id = 1
profile_id = 1
token = "nobody"
[school]
year = "2026/27"
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # `run_cli` sets its own; put back afterwards
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gateway", *words])
    with pytest.raises(SystemExit) as ended:
        run_cli()
    return ended.value.code


def break_off(_gateway: Gateway, **_: object) -> list[RunRow]:
    raise ValueError(f"DETAIL: Failing row contains (7, {CANARY})")


def test_a_fault_of_ours_is_told_without_its_text(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gateway.cli.runs, "load_runs", break_off)

    code = run(monkeypatch, "runs", "--config", str(config))

    printed = capsys.readouterr()
    line = json.loads(next(text for text in printed.err.splitlines() if text.startswith("{")))
    assert code == 1
    assert printed.out == ""
    assert CANARY not in printed.err
    assert "Traceback" not in printed.err
    assert (line["event"], line["error"]) == ("program.failed", "ValueError")
    assert "break_off" in line["error_frames"]
    assert "Сбой программы" in printed.err


def test_a_thread_that_ends_by_a_fault_is_told_without_its_text(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show_in_thread(gateway: Gateway, **words: object) -> list[RunRow]:
        thread = threading.Thread(target=break_off, args=(gateway,))
        thread.start()
        thread.join()
        return []

    monkeypatch.setattr(gateway.cli.runs, "load_runs", show_in_thread)

    code = run(monkeypatch, "runs", "--config", str(config))

    printed = capsys.readouterr()
    assert code == 0
    assert CANARY not in printed.err
    assert "program.thread_failed" in printed.err


@pytest.mark.row("C9")
def test_a_database_that_breaks_off_a_command_is_a_sentence_in_the_users_language(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "runs", "--config", str(config)) == 0
    with closing(sqlite3.connect(config.parent / "gateway.sqlite")) as conn:
        conn.execute("ALTER TABLE run RENAME TO gone")
    capsys.readouterr()

    code = run(monkeypatch, "runs", "--config", str(config), "--json")

    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == ""
    assert "База данных прервала работу" in printed.err
    assert "SELECT" not in printed.err


@pytest.mark.row("V10")
def test_sending_can_be_stopped_while_the_rules_and_the_schools_own_systems_are_broken(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who stops sending because of a wrong mapping is often in the middle of correcting the file."""
    rules = config.with_name("mapping.toml")
    rules.write_text("[[scope", encoding="utf-8")
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole + '[activity]\nurl_file = "gone"\n', encoding="utf-8")

    stopped = run(monkeypatch, "stop-sending", "--config", str(config), "--reason", "не те классы", "--json")
    told = json.loads(capsys.readouterr().out)
    too_early = run(monkeypatch, "stop-sending", "--lift", "--config", str(config), "--reason", "исправлено")
    rules.unlink()
    config.write_text(whole, encoding="utf-8")
    lifted = run(monkeypatch, "stop-sending", "--lift", "--config", str(config), "--reason", "исправлено")

    assert (stopped, too_early, lifted) == (0, 2, 0)
    assert told["is_changed"] is True
    assert told["stop"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuch",), "такой команды нет: nosuch"),
        (("periods",), "не названо, что сделать"),
        (("mapping", "show"), "не назван аргумент number"),
        (("holds", "add", "--class", "7А"), "не назван параметр --reason"),
        (("hand-list", "put", "abc", "--reason", "x"), "нужно целое число"),
        (("hand-list", "outage", "--choose", "nope"), "nope не подходит, можно 'wait', 'by-hand'"),
        (("mapping", "preview", "2", "--record", "x"), "такого параметра нет: --record; есть похожий: --ref"),
        (("plan", "show", "a", "b"), "лишнее: b"),
        (("hand-list", "--to"), "после --to нужно значение"),
        (("hand-list", "--json=1"), "после --json значения нет"),
    ],
)
def test_a_mistyped_command_is_told_in_russian_and_ends_with_2(
    words: tuple[str, ...],
    said: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del config  # its fixture puts the threads' hook back
    code = run(monkeypatch, *words)

    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert said in printed.err
    assert not [word for word in ("Usage", "Error", "Missing", "Invalid", "No such", "Try ") if word in printed.err]


@pytest.mark.parametrize("word", ["[/x]", "[red]"])
def test_what_was_typed_in_brackets_is_told_as_it_was_typed(
    word: str, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(monkeypatch, "mapping", "map-value", word, "a", "b", "--reason", "r", "--config", str(config))

    assert code == 2
    assert f"Справочника {word} нет" in capsys.readouterr().err


def test_what_the_parser_says_in_words_unknown_here_is_passed_on_as_it_is() -> None:
    assert in_russian("Invalid value for '--port': Input should be less than or equal to 65535") == (
        "'--port': нужно не больше 65535"
    )
    assert in_russian("Something new.") == "Something new."
    assert in_russian("Invalid value for '--port': Something new.") == "'--port': Something new."


def test_an_exit_code_of_a_command_reaches_the_shell(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "runs", "--config", str(config)) == 0
    assert run(monkeypatch, "holds", "lift", "77", "--reason", "x", "--config", str(config)) == 4
    assert run(monkeypatch, "runs", "--config", str(config.with_name("none.toml"))) == 2
