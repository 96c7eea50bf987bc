"""Without a token at the command line: what lies in the folder, what is to be typed, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.city.like_portal import build_like
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.sandbox.portal.school_server import build_school_app
from gateway.sandbox.serve import serve_in_thread

SETTINGS = """
[database]
url = "sqlite:///{folder}/gateway.sqlite"
[portal]
base_url = "{portal}"
token = "{token}"
[mesh]
kind = "file"
folder = "{folder}/export"
school_id = 586
[school]
mapping_file = "{folder}/mapping.toml"
"""
MAPPING = '[[scope]]\ncreate = "automatic"\nchange = "automatic"\n'


@pytest.fixture
def school(tmp_path: Path) -> Any:
    """A configured folder beside two running sandboxes; runs the command line in it."""
    portal_app = build_school_app(3, seed=1, now=None)
    with serve_in_thread(portal_app) as portal:
        city_app = build_city_app(like=build_like(portal.base_url, DEFAULT_TOKEN), rate_per_s=None)
        with serve_in_thread(city_app) as city:
            text = SETTINGS.format(folder=tmp_path, portal=portal.base_url, token=DEFAULT_TOKEN)
            (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
            (tmp_path / "mapping.toml").write_text(MAPPING, encoding="utf-8")

            def run(*words: str, code: int = 0) -> str:
                with_config = [] if words[0] == "sandbox" else ["--config", str(tmp_path / "gateway.toml")]
                told = CliRunner().invoke(app, [*words, *with_config])
                assert told.exit_code == code, told.output
                return told.stdout

            run("sandbox", "export", "--url", city.base_url, "--to", str(tmp_path / "export"))
            yield run


def test_the_folder_is_checked_and_the_list_is_shown_written_and_told_as_json(school: Any, tmp_path: Path) -> None:
    lines = {line["subject"]: line for line in json.loads(school("check", "--json"))["lines"]}
    assert lines["city.folder"]["state"] == "ok"

    assert json.loads(school("hand-list", "--json")) == {"count": 0, "lines": [], "problems": []}
    assert "нечего" in school("hand-list")
    school("hand-list", "--to", str(tmp_path / "list"))

    names = {path.name for path in (tmp_path / "list").iterdir()}
    assert names == {"Внести руками.xlsx", "Внести руками.txt", "Внести руками.html"}
    assert "нечего" in (tmp_path / "list" / "Внести руками.html").read_text(encoding="utf-8")


def test_lines_go_onto_the_list_and_off_it_and_a_kind_is_typed_in_an_outage(school: Any) -> None:
    put = json.loads(school("hand-list", "put", "7", "--reason", "журнал не берёт", "--json", code=3))
    assert put == {"taken": [], "refused": [{"id": 7, "why": "unknown", "sentence": "такой операции нет"}]}
    assert "такой операции нет" in school("hand-list", "back", "7", "--reason", "журнал снова берёт")
    school("hand-list", "put", "--reason", "ничего не названо", code=4)
    school("hand-list", "outage", "--kind", "mark", code=2)
    assert "вносить руками" in school(
        "hand-list", "outage", "--kind", "mark", "--choose", "by-hand", "--reason", "конец четверти"
    )
    shown = json.loads(school("hand-list", "outage", "--json"))
    assert shown["after_hours"] == 24
    assert [(one["kind"], one["choice"]) for one in shown["choices"]][:2] == [("mark", "by_hand"), ("absence", "wait")]
    assert "ждать журнала" in school("hand-list", "outage")


def test_an_export_of_nobody_says_so(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["sandbox", "export", "--url", "http://127.0.0.1:9", "--to", str(tmp_path / "export")]
    )

    assert told.exit_code == 2
    assert not (tmp_path / "export").exists()
