"""The command tree. Each verb stands in the file of its noun."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.activity import activity_app
from gateway.cli.audit import audit_app
from gateway.cli.backup import backup_command, restore_command
from gateway.cli.calendar import calendar_app
from gateway.cli.check import check_command
from gateway.cli.context import ERR
from gateway.cli.coverage import coverage_command
from gateway.cli.demo import demo_command
from gateway.cli.discrepancies import discrepancies_app
from gateway.cli.emptied import emptied_command
from gateway.cli.faults import tell_fault, watch_threads
from gateway.cli.flows import deliver_command, pull_command, sync_command, verify_command
from gateway.cli.guards import guards_app
from gateway.cli.hand_list import hand_list_app
from gateway.cli.holds import holds_app
from gateway.cli.init import init_command
from gateway.cli.journal import journal_app
from gateway.cli.links import links_app
from gateway.cli.mapping import mapping_app
from gateway.cli.passport import passport_command
from gateway.cli.periods import periods_app
from gateway.cli.planner import planner_app
from gateway.cli.plans import plan_app
from gateway.cli.protocol import protocol_app
from gateway.cli.queue import queue_app
from gateway.cli.relinks import incidents_app, relinks_app
from gateway.cli.runs import runs_app
from gateway.cli.sandbox import sandbox_app
from gateway.cli.schedule import schedule_app
from gateway.cli.simulate import simulate_command
from gateway.cli.sources import sources_app
from gateway.cli.stop import stop_command
from gateway.cli.support import support_command
from gateway.cli.tasks import tasks_app
from gateway.cli.usage import is_usage, tell_usage
from gateway.cli.users import users_app
from gateway.cli.worker import worker_command
from gateway.flows.sync import Exit
from gateway.telemetry import UnblockedStream, configure_logging

app = typer.Typer(
    name="gateway",
    help="Шлюз между порталом и планировщиком школы и городским электронным журналом.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"gateway {__version__}\n")
        raise typer.Exit


LONG_RUNNING = ("worker", "serve")
"""Commands that outlive whoever reads their stderr."""


@app.callback()
def main_options(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Версия.")] = False,
    log_level: Annotated[
        str, typer.Option("--log-level", help="DEBUG, INFO, WARNING или ERROR; журнал идёт в stderr.")
    ] = "WARNING",
) -> None:
    """Options of every command."""
    del version  # acted on by its callback
    stream = UnblockedStream(sys.stderr) if ctx.invoked_subcommand in LONG_RUNNING else None
    configure_logging(stream, level=log_level)


app.command("init")(init_command)
app.command("check")(check_command)
app.add_typer(links_app, name="links")
app.add_typer(relinks_app, name="relinks")
app.add_typer(incidents_app, name="incidents")
app.add_typer(mapping_app, name="mapping")
app.add_typer(calendar_app, name="calendar")
app.add_typer(journal_app, name="journal")
app.add_typer(sources_app, name="sources")
app.add_typer(planner_app, name="planner")
app.command("pull")(pull_command)
app.add_typer(plan_app, name="plan")
app.add_typer(guards_app, name="guards")
app.command("deliver")(deliver_command)
app.command("verify")(verify_command)
app.command("sync")(sync_command)
app.add_typer(hand_list_app, name="hand-list")
app.command("worker")(worker_command)
app.add_typer(runs_app, name="runs")
app.add_typer(queue_app, name="queue")
app.add_typer(discrepancies_app, name="discrepancies")
app.add_typer(tasks_app, name="tasks")
app.add_typer(holds_app, name="holds")
app.add_typer(periods_app, name="periods")
app.add_typer(schedule_app, name="schedule")
app.add_typer(audit_app, name="audit")
app.add_typer(users_app, name="users")
app.add_typer(protocol_app, name="protocol")
app.add_typer(activity_app, name="activity")
app.command("coverage")(coverage_command)
app.command("passport")(passport_command)
app.command("stop-sending")(stop_command)
app.command("emptied")(emptied_command)
app.command("support-bundle")(support_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(sandbox_app, name="sandbox")
app.command("demo")(demo_command)
app.command("simulate")(simulate_command)


def run_cli() -> None:
    """Run the command line; a fault of ours prints its class and place, never a foreign message or a local variable."""
    watch_threads()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        ERR.print("Прервано")
        sys.exit(Exit.FAULT)
    except Exception as error:  # noqa: BLE001  # the last one who can keep its text from stderr
        sys.exit(tell_usage(error) if is_usage(error) else tell_fault(error))
    sys.exit(code if isinstance(code, int) else Exit.DONE)
