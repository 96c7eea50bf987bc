"""The command line over the same two schools as the HTTP door: one database, both doors open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import gateway.bootstrap
from gateway.cli.app import app

SETTINGS = """
[database]
url = "sqlite:///{folder}/gateway.sqlite"
[portal]
base_url = "http://127.0.0.1:9"
token = "00000000000000000000000000000000"
[mesh]
base_url = "http://127.0.0.1:9"
school_id = 586
profile_id = 1
token = "t"
[access]
argon2_passes = 1
argon2_memory_mib = 1
argon2_lanes = 1
{more}
"""


class Typed:
    """Commands as they are typed in the folder of a school; the clock is the school's."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.config.write_text(SETTINGS.format(folder=folder.as_posix(), more=more), encoding="utf-8")

    def __call__(self, *words: str, code: int = 0, password: str | None = None) -> Result:
        """Type a command; a password is the answer to its question."""
        given = None if password is None else f"{password}\n"
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)], input=given)
        assert result.exit_code == code, (words, result.exit_code, result.stdout, result.stderr, result.exception)
        return result

    def json(self, *words: str, password: str | None = None) -> Any:
        """Type a command with `--json`: the whole of stdout is one object."""
        return json.loads(self(*words, "--json", password=password).stdout)


@pytest.fixture
def build_typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typed]:
    """Opens the command line over a school that is served at the same time."""

    def build(school: Any, more: str = "") -> Typed:
        monkeypatch.setattr(gateway.bootstrap, "SystemClock", lambda: school.clock)
        return Typed(school.folder, more)

    return build
