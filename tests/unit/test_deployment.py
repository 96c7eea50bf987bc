"""The systemd unit and compose.yaml, read and not run: what they must say for the gateway's promises to hold."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep capitals
    parser.read(ROOT / "deploy/systemd/gateway-worker.service", encoding="utf-8")
    return parser


def test_the_unit_stops_a_worker_gently_and_waits_longer_than_it_needs(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]

    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > GatewaySettings().queue.stop_s
    assert service["Restart"] == "always"


def test_the_unit_never_gives_up_on_a_database_that_comes_later(unit: configparser.ConfigParser) -> None:
    """A refused connection ends a start at once: twenty of them were used up in two minutes and a half, for good."""
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert "StartLimitBurst" not in unit["Unit"]
    assert int(unit["Service"]["RestartSec"]) <= 30, "what a dead worker held is promised within thirty seconds"


def test_the_unit_runs_a_command_that_there_is_as_nobody_special(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    _, verb, option, _ = service["ExecStart"].split()
    told = CliRunner().invoke(app, [verb, "--help"])

    assert told.exit_code == 0
    assert option in told.output
    assert service["User"] == "gateway"
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["UMask"]) == ("yes", "strict", "0077")


def test_compose_gives_redis_the_policy_that_the_gateway_asserts() -> None:
    command = next(line for line in COMPOSE.splitlines() if "--maxmemory-policy" in line)

    assert '"--maxmemory-policy", "noeviction"' in command


def test_compose_names_settings_that_there_are_and_no_secret() -> None:
    names = set(re.findall(r"^\s+(GATEWAY_\w+__\w+):", COMPOSE, re.MULTILINE))

    assert names
    for name in names:
        group, field = name.removeprefix("GATEWAY_").lower().split("__")
        assert field in GatewaySettings.model_fields[group].annotation.model_fields  # type: ignore[union-attr]  # every group is a model
    assert not re.search(r"(?i)(password|token):\s*[\"']?[a-z0-9]", COMPOSE)


def test_compose_runs_two_workers_and_does_not_kill_them_over_their_work() -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", COMPOSE)

    assert "replicas: 2" in COMPOSE
    assert '"gateway", "worker"' in COMPOSE
    assert grace is not None
    assert int(grace[1]) > GatewaySettings().queue.stop_s
