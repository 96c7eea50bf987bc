"""Whatever the command line tells, it can tell as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from gateway.__main__ import app

TELLS_NOTHING = frozenset(
    {
        "calendar template",  # writes a file
        "planner template",
        "serve",  # goes on until it is stopped
        "worker",
    }
)


def commands(one: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command that does something, with its options."""
    inner = getattr(one, "commands", {})
    if path and (not inner or one.invoke_without_command):
        yield " ".join(path), {option for param in one.params for option in param.opts}
    for name, command in inner.items():
        yield from commands(command, (*path, name))


def test_every_command_that_tells_something_can_tell_it_as_json() -> None:
    found = dict(commands(get_command(app)))

    assert {name for name, options in found.items() if "--json" not in options} == TELLS_NOTHING
    assert len(found) > 90
