"""Plays many seeds and plants every mistake, and writes what came out as a page; `make figures` runs it.

python tests/simulation/figures.py --seeds 10000 --bug-seeds 1000 --out docs/reference/figures.md
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import planted_more  # noqa: F401  # plants the second half
from planted import BUGS, find_catch

from gateway.simulation.many import Summary, play_many
from gateway.telemetry import configure_logging

Catch = tuple[str, int | None, str]
"""Mistake, how many seeds it took, the invariant that caught it."""


def catch(question: tuple[str, int]) -> Catch:
    """Plant one mistake and look for the first seed that catches it."""
    configure_logging(level="ERROR")
    name, limit = question
    played = find_catch(name, range(limit))
    return (name, None, "") if played is None else (name, played.seed + 1, played.invariant)


def iter_catches(limit: int, processes: int) -> Iterator[Catch]:
    """Plant all mistakes, each in a process of its own."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        yield from pool.map(catch, [(name, limit) for name in BUGS])


def page(summary: Summary, catches: list[Catch], *, bug_seeds: int, bugs_min: float) -> str:
    """The page as Markdown."""
    counts = summary.counts
    place = (
        f"seeds {summary.first_seed}…{summary.first_seed + summary.seeds - 1}, {summary.real_s / 60:.0f} min, "
        f"commit {summary.commit}"
    )
    caught = [one for one in catches if one[1] is not None]
    rows = (
        ("F1 violations of I1–I10, I13–I15", f"{len(summary.failures)}"),
        ("F1 worlds", f"{summary.seeds}"),
        ("F2 simulated hours", f"{summary.simulated_h:.0f}"),
        ("F3 killed processes", f"{counts['crashes']}"),
        ("pauses of a process, up to ten leases", f"{counts['pauses']}"),
        ("runs (pull, plan, release)", f"{counts['runs']}"),
        ("calls to the city", f"{counts['calls']}"),
        ("writes that took effect", f"{counts['effects']}"),
        ("edits by people in the city", f"{counts['human_effects']}"),
        ("F18 restores of an older copy", f"{counts['restores']}"),
        ("F15 runs after the last fault until nothing moved: worlds", _words(summary.passes)),
        ("F15 longest time from the last fault to quiet, virtual min", f"{summary.quiet_s / 60:.1f}"),
        ("writes over a person's edit that no read had seen", f"{counts['blind_overwrites']}"),
        ("calls beyond the bound of law 4 (labelled worlds)", f"{counts['beyond_bound']}"),
        ("doubles that came of those", f"{counts['doubled_beyond']}"),
        ("places that differ at the end, each listed with its reason", _words(summary.differing)),
        ("kinds of world", _words(summary.labels)),
        ("worlds a second", f"{summary.seeds_per_s:.2f}"),
    )
    lines = [
        "# Figures of the simulation",
        "",
        "Made by `make figures`; what the rows mean stands in [reliability](reliability.md).",
        "",
        f"All rows of this table: {place}.",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        f"F10 planted mistakes: {len(caught)} of {len(catches)} caught within {bug_seeds} seeds "
        f"({bugs_min:.0f} min, commit {summary.commit}).",
        "",
        "| mistake | what it is | seeds to catch | caught by |",
        "|---|---|---|---|",
        *(
            f"| {name} | {BUGS[name][0]} | {number if number is not None else f'not in {bug_seeds}'} | {invariant} |"
            for name, number, invariant in catches
        ),
        "",
    ]
    return "\n".join(lines)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"


def main() -> int:
    """Play, plant, write; 1 where anything was violated or a mistake was not caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--bug-seeds", type=int, default=1_000)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    configure_logging(level="ERROR")
    summary = play_many(
        range(wanted.seeds),
        processes=wanted.processes,
        told=lambda done, total: print(f"{done}/{total}", file=sys.stderr) if done % 500 == 0 else None,
    )
    for failure in summary.failures:
        print(f"seed={failure.seed} commit={summary.commit} {failure.invariant}: {failure.sentence}", file=sys.stderr)
    began = time.perf_counter()
    catches = []
    for one in iter_catches(wanted.bug_seeds, wanted.processes):
        print(*one, file=sys.stderr)
        catches.append(one)
    bugs_min = (time.perf_counter() - began) / 60
    wanted.out.write_text(page(summary, catches, bug_seeds=wanted.bug_seeds, bugs_min=bugs_min), encoding="utf-8")
    return int(bool(summary.failures) or any(number is None for _, number, _ in catches))


if __name__ == "__main__":
    sys.exit(main())
