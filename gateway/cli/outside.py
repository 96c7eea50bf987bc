"""gateway discrepancies assign and wait: given to a person of the school, or waiting for somebody outside of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json, school_moment
from gateway.domain.discrepancies import Outside
from gateway.flows.outside import assign_to, wait_outside
from gateway.flows.sync import Exit

NumbersArgument = Annotated[list[int], typer.Argument(help="Номера расхождений.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")]
OUTSIDE_WORDS = {
    Outside.CITY_HELPDESK: "поддержка города",
    Outside.PORTAL_SUPPORT: "поддержка портала",
    Outside.OTHER_SCHOOL: "другая школа",
    Outside.FAMILY: "семья",
}


def assign_command(
    assignee: Annotated[str, typer.Argument(help="Кому поручено: логин или код учётной записи.")],
    numbers: NumbersArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Поручить человеку школы."""
    with opened(config) as gateway:
        given = assign_to(gateway, numbers, assignee, reason=reason)
        if as_json:
            print_json({"assigned": given})
        else:
            OUT.print(f"Поручено: {len(given)} из {len(set(numbers))}")
        if len(given) < len(set(numbers)):
            raise typer.Exit(Exit.REMARKS)


def wait_command(
    whom: Annotated[Outside, typer.Argument(help="Кого ждём: city_helpdesk, portal_support, other_school, family.")],
    numbers: NumbersArgument,
    reason: ReasonOption,
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="День, когда откроется само.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ждать человека вне школы до названного дня."""
    with opened(config) as gateway:
        back_at = school_moment(gateway, until, "--until")
        waits = wait_outside(gateway, numbers, whom, until=back_at, reason=reason)
        if as_json:
            print_json({"waiting": waits})
        else:
            OUT.print(f"Ждут ({OUTSIDE_WORDS[whom]}): {len(waits)} из {len(set(numbers))}")
        if len(waits) < len(set(numbers)):
            raise typer.Exit(Exit.REMARKS)
