"""The recording that ships holds what the connector reads and nothing that could tell on anybody."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.trim import iter_trimmed, main, trim_line


def line(function: str, body: Any) -> dict[str, Any]:
    return {"wsfunction": function, "params": {}, "status": 200, "body": body}


def test_trimming_what_is_trimmed_changes_nothing() -> None:
    shipped = read_recording()

    assert list(iter_trimmed(shipped)) == shipped


def test_secrets_addresses_and_unused_functions_of_the_site_are_dropped() -> None:
    body = {
        "sitename": "Портал",
        "siteurl": "http://host.invalid",
        "userprivateaccesskey": "secret",
        "functions": [{"name": "used", "version": "1"}, {"name": "unused", "version": "1"}],
    }

    trimmed = trim_line(line("core_webservice_get_site_info", body), frozenset({"used"}))

    assert trimmed["body"] == {"sitename": "Портал", "functions": [{"name": "used", "version": "1"}]}


def test_remarks_of_attendance_and_markup_are_dropped() -> None:
    log = [{"id": "1", "studentid": 3, "statusid": "5", "remarks": "справка"}]
    body = [
        {"id": 1, "description": "<p>Урок 1</p>", "attendance_log": log, "users": [{"id": 3, "lastname": "Иванова"}]}
    ]

    trimmed = trim_line(line("mod_attendance_get_sessions", body), frozenset())

    assert trimmed["body"] == [
        {
            "id": 1,
            "description": "Урок 1",
            "attendance_log": [{"id": "1", "studentid": 3, "statusid": "5"}],
            "users": [{"id": 3}],
        }
    ]


def test_a_function_nobody_decided_on_stops_the_tool() -> None:
    with pytest.raises(KeyError):
        trim_line(line("core_message_get_messages", {}), frozenset())


def test_the_tool_gives_the_same_bytes_for_the_same_input(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(line("core_cohort_get_cohorts", [{"id": 1, "name": "7А"}])), encoding="utf-8")

    assert [main([str(source), str(tmp_path / name)]) for name in ("a.gz", "b.gz")] == [0, 0]

    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "a.gz").read_bytes()))["body"] == [{"id": 1, "name": "7А"}]


def test_the_tool_without_its_two_paths_tells_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
