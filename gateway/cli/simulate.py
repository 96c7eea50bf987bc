"""gateway simulate: the production steps under faults, seed by seed, in virtual time; one table at the end."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway.cli.context import ERR, OUT, JsonOption, guarded, print_json
from gateway.cli.words import dense_table
from gateway.domain.errors import ConfigurationError
from gateway.flows.sync import Exit
from gateway.simulation.many import Failure, Summary, play_many
from gateway.telemetry import configure_logging

SHOWN_TAIL_COUNT = 25


def simulate_command(
    seeds: Annotated[int, typer.Option("--seeds", help="Сколько миров сыграть.")] = 100,
    first: Annotated[int, typer.Option("--from", help="Первое зерно.")] = 0,
    processes: Annotated[int | None, typer.Option("--processes", help="Процессов; без него по числу ядер.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Проверить доставку на выдуманной школе: сбои, убитые процессы, правки людей; одно зерно — один и тот же мир."""
    with guarded():
        if seeds < 1 or first < 0 or (processes is not None and processes < 1):
            raise ConfigurationError("--seeds и --processes больше нуля, --from не меньше нуля")
        configure_logging(
            level="ERROR"
        )  # what production code warns of is arranged here on purpose, thousands of times
        summary = play_many(range(first, first + seeds), processes=processes, told=_tell)
        if ERR.is_terminal:
            sys.stderr.write("\n")
        if as_json:
            print_json({**_to_facts(summary), "failures": summary.failures})
        else:
            _show(summary)
        if summary.failures:
            raise typer.Exit(Exit.FAULT)


def _tell(done: int, total: int) -> None:
    if ERR.is_terminal:
        sys.stderr.write(f"\rМиров: {done} из {total} ")
        sys.stderr.flush()


def _to_facts(summary: Summary) -> dict[str, object]:
    return {
        "seeds": summary.seeds,
        "first_seed": summary.first_seed,
        "commit": summary.commit,
        "violations": len(summary.failures),
        "simulated_h": round(summary.simulated_h, 1),
        "real_s": round(summary.real_s, 1),
        "seeds_per_s": round(summary.seeds_per_s, 2),
        **summary.counts,
        "passes": summary.passes,
        "quiet_s": round(summary.quiet_s, 1),
        "differing": summary.differing,
        "kinds": summary.kinds,
        "labels": summary.labels,
    }


def _show(summary: Summary) -> None:
    table = dense_table(title="Имитация доставки")
    table.add_column("показатель")
    table.add_column("значение", justify="right")
    last = summary.first_seed + summary.seeds - 1
    counts = summary.counts
    rows = (
        ("зёрна", f"{summary.first_seed}…{last} ({summary.seeds})"),
        ("нарушений", str(len(summary.failures))),
        ("часов в имитации", f"{summary.simulated_h:.0f}"),
        ("убитых процессов", str(counts["crashes"])),
        ("остановок процессов", str(counts["pauses"])),
        ("запусков", str(counts["runs"])),
        ("вызовов города", str(counts["calls"])),
        ("записей в журнал города", str(counts["effects"])),
        ("из них по видам", ", ".join(f"{name} {count}" for name, count in summary.kinds.items()) or "нет"),
        ("правок людьми в городе", str(counts["human_effects"])),
        ("восстановлений из копии", str(counts["restores"])),
        ("правок поверх не виденной правки человека", str(counts["blind_overwrites"])),
        ("вызовов позже границы", f"{counts['beyond_bound']} (дублей от них {counts['doubled_beyond']})"),
        ("запусков до тишины", ", ".join(f"{number}: {count}" for number, count in summary.passes.items())),
        ("до тишины не дольше, мин", f"{summary.quiet_s / 60:.1f}"),
        (
            "расхождений, все в списке",
            ", ".join(f"{name} {count}" for name, count in summary.differing.items()) or "нет",
        ),
        ("зёрен в секунду", f"{summary.seeds_per_s:.2f}"),
        ("фиксация", summary.commit),
    )
    for name, value in rows:
        table.add_row(name, value)
    OUT.print(table)
    for failure in summary.failures:
        _show_failure(failure, summary.commit)


def _show_failure(failure: Failure, commit: str) -> None:
    OUT.print(f"\nseed={failure.seed} commit={commit} {failure.invariant}: {failure.sentence}", markup=False)
    OUT.print(failure.where, markup=False)
    OUT.print("\n".join(failure.tail[-SHOWN_TAIL_COUNT:]), markup=False)
    OUT.print(f"повторить: gateway simulate --seeds 1 --from {failure.seed}", markup=False)
