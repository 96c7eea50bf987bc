"""gateway periods at the command line: signing, what is signed, opening until an hour, naming pupils."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

import gateway.bootstrap
from gateway.cli.app import app
from gateway.domain.clock import VirtualClock
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
base_url = "{city}"
school_id = 586
profile_id = {profile}
token = "{city_token}"
rate_per_s = 1000
[school]
mapping_file = "{folder}/mapping.toml"
"""
MAPPING = '[[scope]]\ncreate = "automatic"\nchange = "automatic"\n'


@pytest.fixture
def run(tmp_path: Any, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A configured folder beside two running sandboxes; runs the command line in it."""
    monkeypatch.setattr(gateway.bootstrap, "SystemClock", lambda: clock)
    portal_app = build_school_app(3, seed=1, now=clock.now)
    with serve_in_thread(portal_app) as portal:
        city_app = build_city_app(like=build_like(portal.base_url, DEFAULT_TOKEN), now=clock.now, rate_per_s=None)
        with serve_in_thread(city_app) as city:
            admin = city_app.state.city.describe()["profiles"][0]
            text = SETTINGS.format(
                folder=tmp_path,
                portal=portal.base_url,
                token=DEFAULT_TOKEN,
                city=city.base_url,
                profile=admin["profile_id"],
                city_token=admin["token"],
            )
            (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
            (tmp_path / "mapping.toml").write_text(MAPPING, encoding="utf-8")

            def call(*words: str, code: int = 0) -> str:
                told = CliRunner().invoke(
                    app, [*words, "--config", str(tmp_path / "gateway.toml")], input="a password 7\n"
                )
                assert told.exit_code == code, told.output
                return told.stdout

            yield call


def test_a_period_is_signed_shown_opened_and_asked_for_by_name(run: Any) -> None:
    run("periods", "sign", "7А", "2", "--reason", "рано", code=4)
    planned = json.loads(run("plan", "--json"))
    assert "Ни один" in run("periods", "show")
    run("periods", "sign", "7А", "5 четверть", "--reason", "нет такой", code=2)
    signed = json.loads(run("periods", "sign", "7а", "2 четверть", "--reason", "сдана", "--json"))
    number = signed["signature"]["id"]
    assert signed["signature"]["class_name"] == "7А"
    run("periods", "sign", "7А", "2", "--reason", "ещё раз", code=4)

    assert "закрыт" in run("periods", "show")
    assert "Период открыт до" in run("periods", "reopen", str(number), "--until", "10:30", "--reason", "забыли")
    shown = json.loads(run("periods", "show", "--json"))
    assert shown["periods"][0]["open_until"] == "2026-11-23T07:30:00Z"
    assert shown["notes"] == {str(number): "сдана"}
    run("periods", "reopen", str(number), "--until", "потом", "--reason", "когда-нибудь", code=2)
    words = ("--pupil", "user:1", "--as", "zavuch", "--reason", "никого")
    run("periods", "propose", planned["plan_hash"], *words, code=4)  # there is no such account
    run("periods", "propose", "abc", *words, code=4)
