"""Schedules in the settings: defaults that a table only touches, tables from the environment, names that are kept."""

from __future__ import annotations

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.settings import load_settings


def test_a_table_keeps_what_it_does_not_say() -> None:
    marks = load_settings(None, schedule={"marks": {"mode": "approve"}}).schedule.named["marks"]

    assert (marks.mode, marks.cron, marks.kinds) == ("approve", ("0 8-20 * * *",), ("mark", "absence"))
    assert marks.school_days_only


def test_the_environment_adds_a_schedule_and_changes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SCHEDULE__SEVENTH__CRON", "0 7 * * *")
    monkeypatch.setenv("GATEWAY_SCHEDULE__SEVENTH__CLASSES", '["7А", "7Б"]')
    monkeypatch.setenv("GATEWAY_SCHEDULE__HOMEWORK__CRON", '["0 9 * * *", "0 10 * * *"]')
    monkeypatch.setenv("GATEWAY_SCHEDULE__SILENT__FROM", "2026-08-25")
    monkeypatch.setenv("GATEWAY_SCHEDULE__SILENT__TO", "2026-09-05")

    schedule = load_settings(None).schedule

    assert schedule.named["seventh"].classes == ("7А", "7Б")
    assert schedule.named["homework"].cron == ("0 9 * * *", "0 10 * * *")
    assert f"{schedule.silent[0].from_on}/{schedule.silent[0].to_on}" == "2026-08-25/2026-09-05"


def test_several_silent_periods_stand_side_by_side() -> None:
    spans = [{"from": "2026-08-25", "to": "2026-09-05"}, {"from": "2026-12-31", "to": "2027-01-08"}]

    assert len(load_settings(None, schedule={"silent": spans}).schedule.silent) == 2


def test_the_watchers_address_shows_nowhere() -> None:
    settings = load_settings(None, schedule={"heartbeat_url": "https://watch.example/geheim"})

    assert "geheim" not in repr(settings)


@pytest.mark.parametrize("name", ["held", "asked", "Ночь", "a b", "x" * 41])
def test_a_name_that_is_kept_or_no_word_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="schedule"):
        load_settings(None, schedule={name: {"cron": "0 2 * * *"}})


def test_a_list_that_is_no_json_in_the_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SCHEDULE__SEVENTH__CRON", "0 7 * * *")
    monkeypatch.setenv("GATEWAY_SCHEDULE__SEVENTH__CLASSES", "7А, 7Б")

    with pytest.raises(ConfigurationError, match=r"schedule\.seventh\.classes"):
        load_settings(None)


@pytest.mark.parametrize("school", [{"weekdays": []}, {"weekdays": [0]}, {"held_until_hour": 24}])
def test_a_calendar_that_can_not_be_is_refused(school: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="school"):
        load_settings(None, school=school)
