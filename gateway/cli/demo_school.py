"""The demo's surroundings: the sandboxes as processes of their own, and the folder with settings that name them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from gateway.cli.init import write_settings
from gateway.domain.errors import ConfigurationError
from gateway.mapping.roster_file import RosterRow, write_template
from gateway.sandbox.remote import fetch_control, post_control
from gateway.settings import GatewaySettings, load_settings

RATE_PER_S = 400.0
"""Pace of the demo on both sides; against a real city it is 5 a second."""


@dataclass(frozen=True)
class DemoSchool:
    """A portal, a city and a planner that believe it is the day of the recording.

    Attributes:
        folder: Where everything of the demo lies.
        roster: List of the school's office with the pupils whom the portal does not know by person_id.
    """

    folder: Path
    settings: GatewaySettings
    portal_url: str
    city_url: str
    planner_url: str
    roster: Path

    def post(self, base_url: str, name: str, body: dict[str, Any]) -> Any:
        """Ask a sandbox to do what a person there would do."""
        return post_control(base_url, name, body)


@contextmanager
def open_school(folder: Path, *, pupils: int | None, now: datetime) -> Iterator[DemoSchool]:
    """Start the sandboxes and write the folder's files; stop them afterwards.

    Args:
        folder: An existing folder.
        pupils: Size of a made-up school; None = the recording.
        now: Moment at which their clocks start.
    """
    with ExitStack() as stack:
        moment = now.isoformat()
        size = ["--pupils", str(pupils)] if pupils is not None else []
        # The planner starts while the city is made like the portal: it waits for nobody.
        read_planner = stack.enter_context(_sandbox("planner", "--now", moment, "--blank"))
        portal = stack.enter_context(_sandbox("portal", "--now", moment, *size))()
        read_city = stack.enter_context(
            _sandbox(
                "city",
                "--now",
                moment,
                "--like",
                portal["base_url"],
                "--like-token",
                portal["token"],
                "--rate",
                "off",
                "--state",
                str(folder / "city.sqlite"),
            )
        )
        city, planner = read_city(), read_planner()
        settings_file = folder / "gateway.toml"
        write_settings(settings_file, _settings_toml(folder, portal, city, planner))
        school = DemoSchool(
            folder=folder,
            settings=load_settings(settings_file),
            portal_url=portal["base_url"],
            city_url=city["base_url"],
            planner_url=planner["base_url"],
            roster=folder / "roster.xlsx",
        )
        _write_roster(school)
        yield school


@contextmanager
def _sandbox(*arguments: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run `gateway sandbox …` as a process; what is given reads the one line it prints first, and waits for it."""
    process = subprocess.Popen(  # noqa: S603  # our own program, arguments made here
        [sys.executable, "-m", "gateway", "sandbox", *arguments, "--json", "--with-parent"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )

    def read_facts() -> dict[str, Any]:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            raise ConfigurationError(f"Песочница {arguments[0]} не запустилась")
        facts: dict[str, Any] = json.loads(line)
        return facts

    try:
        yield read_facts
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _settings_toml(folder: Path, portal: dict[str, Any], city: dict[str, Any], planner: dict[str, Any]) -> str:
    admin = next(profile for profile in city["profiles"] if profile["role"] == "school_admin")
    return f"""# Настройки пробы: обе стороны — песочницы на этой машине, токены выдуманы.
[database]
url = "sqlite:///{(folder / "gateway.sqlite").resolve().as_posix()}"

[portal]
base_url = "{portal["base_url"]}"
token = "{portal["token"]}"
protocols_per_run = 100

[planner]
door_url = "{planner["base_url"]}"
token = "{planner["token"]}"

[mesh]
base_url = "{city["base_url"]}"
school_id = {city["school_id"]}
profile_id = {admin["profile_id"]}
token = "{admin["token"]}"
rate_per_s = {RATE_PER_S}
settle_s = 1.0
deadline_s = 5.0

[school]
year = "2026/27"

[audit]
environment = "demo"
"""


def _write_roster(school: DemoSchool) -> None:
    """Write the office's list: it knows the city's person_id of every pupil, the portal knows only some."""
    state = fetch_control(school.city_url, "state")
    rows = [
        RosterRow(
            sheet="Ученики",
            number=number,
            portal_id=str(pupil["portal_id"]),
            last_name=pupil["last_name"],
            first_name=pupil["first_name"],
            class_name=pupil["class"],
            person_id=pupil["person_id"],
            birth_on=date.fromisoformat(pupil["birth_date"]),
        )
        for number, pupil in enumerate(state["like"]["pupils"], start=2)
    ]
    write_template(school.roster, rows)
