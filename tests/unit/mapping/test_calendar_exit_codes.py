"""`gateway calendar` says by its exit code what its words say: a fault is never a success."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app

WHOLE = 'year = "2026/27"\nfrom = 2026-09-01\nto = 2027-05-26\n'


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path / "g.sqlite"}"\n'
        '[portal]\nbase_url = "http://127.0.0.1:1"\ntoken = "t"\n'
        '[mesh]\nbase_url = "http://127.0.0.1:1"\nschool_id = 1\ntoken = "t"\nprofile_id = 1\n'
        '[school]\nyear = "2026/27"\n',
        encoding="utf-8",
    )
    return ["--config", str(path)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken.toml", "year = "),
        ("unknown.toml", f"{WHOLE}surprise = 1\n"),
        ("backwards.toml", 'year = "2026/27"\nfrom = 2027-05-26\nto = 2026-09-01\n'),
        ("empty.toml", ""),
        ("nothing.xlsx", "это не книга"),
        ("missing.xlsx", None),
    ],
)
def test_a_calendar_with_faults_is_refused_by_check_and_import_and_each_fault_is_named(
    name: str, text: str | None, tmp_path: Path, config: list[str]
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text, encoding="utf-8")
    run = CliRunner().invoke

    checked = run(app, ["calendar", "check", str(file)])
    told = run(app, ["calendar", "check", str(file), "--json"])
    tried = run(app, ["calendar", "import", str(file), "--dry-run", *config])
    imported = run(app, ["calendar", "import", str(file), *config])
    shown = run(app, ["calendar", "show", *config])

    assert all(one.exit_code in (1, 2, 3) for one in (checked, told, tried, imported)), [
        one.exit_code for one in (checked, told, tried, imported)
    ]
    assert checked.exit_code == told.exit_code == imported.exit_code == tried.exit_code
    assert checked.stderr.strip()
    if told.stdout.strip():
        assert json.loads(told.stdout)["faults"]
    assert shown.exit_code == 2  # nothing of it counts


def test_a_day_that_is_none_and_a_year_without_a_calendar_are_no_success(config: list[str]) -> None:
    run = CliRunner().invoke

    assert run(app, ["calendar", "show", *config]).exit_code == 2
    assert run(app, ["calendar", "show", "--day", "2026-13-40", *config]).exit_code == 2
