"""What the command line can do, the API can: every verb has its route, or stands here with why it has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from gateway.__main__ import app
from gateway.api.app import PREFIX

ROUTES = {
    "activity kinds": "GET /activity/kinds",
    "activity show": "GET /teachers/{teacher}/activity",
    "audit list": "GET /audit",
    "audit verify": "GET /audit/verification",
    "calendar show": "GET /calendar",
    "coverage": "GET /coverage",
    "discrepancies": "GET /discrepancies",
    "discrepancies assign": "POST /discrepancies/assignments",
    "discrepancies choose": "POST /discrepancies/choices",
    "discrepancies dispute": "POST /discrepancies/{number}/dispute",
    "discrepancies groups": "GET /discrepancies/groups",
    "discrepancies precedents": "GET /precedents",
    "discrepancies precedents backtest": "POST /precedents/{number}/backtest",
    "discrepancies precedents make": "POST /precedents",
    "discrepancies precedents off": "POST /precedents/{number}/off",
    "discrepancies precedents on": "POST /precedents/{number}/on",
    "discrepancies show": "GET /discrepancies/{number}",
    "discrepancies wait": "POST /discrepancies/waiting",
    "emptied": "POST /emptied",
    "guards show": "GET /plans/{number}/guards",
    "guards try": "GET /guards/trial",
    "hand-list": "GET /hand-list",
    "hand-list back": "POST /hand-list/back",
    "hand-list outage": "POST /hand-list/outage",
    "hand-list put": "POST /hand-list",
    "holds": "GET /holds",
    "holds add": "POST /holds",
    "holds lift": "POST /holds/{number}/lifting",
    "incidents": "GET /incidents",
    "incidents found": "POST /incidents/{number}/findings",
    "incidents notified": "POST /incidents/{number}/notice",
    "incidents show": "GET /incidents/{number}",
    "journal add": "POST /journal/entries",
    "journal list": "GET /journal/entries",
    "journal withdraw": "POST /journal/entries/{number}/withdrawal",
    "links candidates": "GET /links",
    "links confirm": "POST /links/{pupil}/confirmation",
    "links drop": "POST /links/{pupil}/removal",
    "links list": "GET /links",
    "links merge": "POST /links/{pupil}/merge",
    "links reject": "POST /links/{pupil}/rejection",
    "links show": "GET /links/{pupil}",
    "links split": "POST /links/{pupil}/split",
    "mapping activate": "POST /mapping/versions/{number}/activation",
    "mapping backtest": "POST /mapping/versions/{number}/backtest",
    "mapping correction": "GET /mapping/correction",
    "mapping draft": "POST /mapping/versions",
    "mapping list": "GET /mapping/versions",
    "mapping map-value": "POST /mapping/values",
    "mapping preview": "GET /mapping/versions/{number}/preview",
    "mapping propose": "POST /mapping/versions/{number}/proposal",
    "mapping rollback": "POST /mapping/rollback",
    "mapping show": "GET /mapping/versions/{number}",
    "mapping unmapped": "GET /mapping/unmapped",
    "mapping withdraw": "POST /mapping/versions/{number}/withdrawal",
    "passport": "GET /passport/{ref}",
    "periods approve": "POST /period-approvals/{number}/approval",
    "periods propose": "POST /plans/{number}/period-approvals",
    "periods reopen": "POST /periods/{number}/opening",
    "periods show": "GET /periods",
    "periods sign": "POST /periods",
    "plan": "POST /runs",
    "plan approve": "POST /plans/{number}/approval",
    "plan propose": "POST /plans/{number}/proposals",
    "plan show": "GET /plans/{number}/items",
    "protocol show": "GET /protocols/{attempt}",
    "queue": "GET /queue",
    "queue replay": "POST /operations/{number}/replay",
    "relinks": "GET /relinks",
    "relinks approve": "POST /relinks/{number}/approval",
    "relinks show": "GET /relinks/{number}",
    "relinks withdraw": "POST /relinks/{number}/withdrawal",
    "runs": "GET /runs",
    "runs show": "GET /runs/{number}",
    "runs undo": "POST /runs/{number}/undo",
    "schedule list": "GET /schedules",
    "schedule next": "GET /schedules/next",
    "schedule run": "POST /schedules/{name}/run",
    "sources conflicts": "GET /sources/conflicts",
    "sources list": "GET /sources",
    "stop-sending": "PUT /sending/stop",
    "sync": "POST /runs",
    "tasks": "GET /tasks",
    "tasks done": "POST /tasks/{number}/done",
    "users add": "POST /accounts",
    "users disable": "POST /accounts/{login}/disabling",
    "users enable": "POST /accounts/{login}/enabling",
    "users list": "GET /accounts",
    "users password": "POST /accounts/{login}/password",
    "users relate": "POST /accounts/{login}/relations",
    "users role": "POST /accounts/{login}/roles",
}
FILES = "reads or writes a file of the machine it runs on"
MACHINE = "keeps the machine itself: whoever has it has the database"
WAY = "one step of the way that POST /runs and the schedules go whole"
EXCEPTIONS = {
    "activity pull": WAY,
    "audit checkpoint": "is kept outside of this machine, so that a door's answer proves nothing",
    "audit export": FILES,
    "backup": MACHINE,
    "calendar check": FILES,
    "calendar import": FILES,
    "calendar template": FILES,
    "check": MACHINE,
    "deliver": WAY,
    "demo": MACHINE,
    "init": MACHINE,
    "links import": FILES,
    "links template": FILES,
    "planner lint": FILES,
    "planner template": FILES,
    "protocol check": MACHINE,
    "protocol pull": WAY,
    "pull": WAY,
    "restore": MACHINE,
    "sandbox city": MACHINE,
    "sandbox event-log": MACHINE,
    "sandbox export": MACHINE,
    "sandbox planner": MACHINE,
    "sandbox portal": MACHINE,
    "simulate": MACHINE,
    "support-bundle": FILES,
    "users token": "prints a machine's secret, which never leaves by a browser",
    "verify": WAY,
    "serve": MACHINE,
    "worker": MACHINE,
}
"""Verbs without a route, and why."""


def iter_verbs() -> Iterator[str]:
    """Every verb that does something: commands, and groups that answer without one."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if path and (inner is None or command.invoke_without_command):
            yield " ".join(path)
        for name, one in sorted((inner or {}).items()):
            yield from walk(one, (*path, name))

    yield from walk(typer.main.get_command(app), ())


@pytest.fixture(scope="module")
def routes(shared_school: Any) -> set[str]:
    tree = shared_school.call("director").get("/openapi.json").json()
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}" for path, inside in tree["paths"].items() for method in inside
    }


def test_every_verb_has_its_route_or_a_reason_why_not(routes: set[str]) -> None:
    verbs = set(iter_verbs())

    assert verbs == ROUTES.keys() | EXCEPTIONS.keys()
    assert not ROUTES.keys() & EXCEPTIONS.keys()
    assert {verb: route for verb, route in ROUTES.items() if route not in routes} == {}


def test_what_stands_in_an_exception_is_true(routes: set[str]) -> None:
    """An exception that says which route goes the way names one that there is."""
    named = {word for why in EXCEPTIONS.values() for word in ("POST /runs",) if word in why}

    assert named <= routes
