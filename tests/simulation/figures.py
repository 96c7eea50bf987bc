"""Reaches the figures of reliability in one command, and writes them as a page; `make figures` runs it.

python tests/simulation/figures.py --seeds 10000 --bug-seeds 1000 --out docs/reference/figures.md

A small run shows that it works: `--seeds 50 --bug-seeds 5 --pairs 20`. Every line of the page says how many seeds, how
many minutes and which commit it comes from.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import planted_more  # noqa: F401  # plants the second half
from planted import BUGS, find_catch

from gateway.simulation.killed import JOBS, Killed, draw_pairs, kill_everywhere
from gateway.simulation.many import find_commit, play_many
from gateway.simulation.planner import try_cells
from gateway.simulation.play import play_two_years
from gateway.simulation.resolving import live_many
from gateway.telemetry import configure_logging

Catch = tuple[str, int | None, str]
"""Mistake, how many seeds it took, the invariant that caught it."""
Row = tuple[str, str, str]
"""Figure, value, from how much."""

ELSEWHERE = {
    "one_read_proves": "`tests/simulation/test_planner.py` (a list that lacks something, on one cell)",
}
"""Mistakes that another harness catches sooner than a world does: mistake → where."""
HASHES = """
import sys
from gateway.telemetry import configure_logging
from gateway.simulation.play import play
configure_logging(level="ERROR")
print(*(play(seed).trace_hash for seed in range(int(sys.argv[1]))))
"""


class Page:
    """The rows so far, and whether anything was violated."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.is_good = True
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Start the clock of the next rows."""
        self._began = time.perf_counter()

    def tell(self, name: str, value: object, seeds: int | None = None) -> None:
        """Add a row."""
        minutes = f"{(time.perf_counter() - self._began) / 60:.1f} min"
        self.rows.append((name, str(value), minutes if seeds is None else f"{seeds} seeds, {minutes}"))
        print(f"{name}: {value} ({self.rows[-1][2]}, commit {find_commit()})", file=sys.stderr)

    def judge(self, violations: list[str]) -> int:
        """Keep that something was violated, and say what."""
        self.is_good = self.is_good and not violations
        for line in violations:
            print(line, file=sys.stderr)
        return len(violations)


def tell_worlds(page: Page, seeds: int, processes: int) -> None:
    """F1–F3, F15, F21: whole worlds."""
    page.begin()
    summary = play_many(range(seeds), processes=processes, told=_tell_progress)
    counts = summary.counts
    failures = [f"seed={one.seed} commit={summary.commit} {one.invariant}: {one.sentence}" for one in summary.failures]
    for name, value in (
        ("F1 violations of I1–I10, I12–I15", page.judge(failures)),
        ("F2 simulated hours", f"{summary.simulated_h:.0f}"),
        ("F3 killed processes", counts["crashes"]),
        ("pauses of a process, up to ten leases", counts["pauses"]),
        ("runs (pull, plan, release)", counts["runs"]),
        ("calls to the city", counts["calls"]),
        ("writes that took effect", counts["effects"]),
        ("edits by people in the city", counts["human_effects"]),
        ("restores of an older copy", counts["restores"]),
        ("F15 runs after the last fault that moved something: worlds", _words(summary.passes)),
        ("F15 longest time from the last fault to quiet, virtual min", f"{summary.quiet_s / 60:.1f}"),
        (f"F21 canaries in {counts['log_lines']} log lines and the nameless tables", 0),
        ("writes over a person's edit that no read had seen", counts["blind_overwrites"]),
        ("calls beyond the bound of law 4 (labelled worlds)", counts["beyond_bound"]),
        ("doubles that came of those", counts["doubled_beyond"]),
        ("places that differ at the end, each listed with its reason", _words(summary.differing)),
        ("kinds of world", _words(summary.labels)),
        ("worlds a second", f"{summary.seeds_per_s:.2f}"),
    ):
        page.tell(name, value, seeds)


def tell_drills(page: Page, seeds: int, processes: int) -> None:
    """F18: a restore in each world."""
    page.begin()
    summary = play_many(range(seeds), processes=processes, is_drill=True)
    failures = [f"drill seed={one.seed} {one.invariant}: {one.sentence}" for one in summary.failures]
    page.tell("F18 lost or doubled after a restore", page.judge(failures), seeds)


def tell_years(page: Page, seeds: int) -> None:
    """D8: the end of a school year."""
    page.begin()
    played = [play_two_years(seed) for seed in range(seeds)]
    failures = [f"two years seed={one.seed} {one.invariant}: {one.violation}" for one in played if one.violation]
    page.tell("D8 violations over the end of a school year", page.judge(failures), seeds)


def tell_lives(page: Page, lives: int) -> None:
    """Edits on both sides, resolutions, holds, undos and failing calls."""
    page.begin()
    lived = live_many(range(lives))
    failures = [f"lives seed={one.seed} {one.violation}" for one in lived if one.violation]
    page.tell("lives of choices that violate C1–C4", page.judge(failures), lives)
    for name, counts in (("choices", "choices"), ("what happened", "acts"), ("left aside at the end", "left")):
        total: Counter[str] = Counter()
        for one in lived:
            total.update(getattr(one, counts))
        page.tell(f"lives of choices: {name}", _words(dict(sorted(total.items()))), lives)


def tell_planner(page: Page, cases: int) -> None:
    """F4: the decision alone."""
    page.begin()
    try_cells(cases)
    page.tell("F4 violations of I1, I2, I4, I15 by the decision alone", 0, cases)


def tell_kills(page: Page, pairs: int, night_step: int) -> None:
    """F5: killed at points, and again during the recovery."""
    memory = Path("/dev/shm")  # a kill, unlike a power cut, takes nothing of what is not on the disk
    folder = Path(tempfile.mkdtemp(prefix="gateway-figures-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        for job in JOBS:
            page.begin()
            step = night_step if job is JOBS[-1] else 1
            done = kill_everywhere(job, folder, chosen=partial(_every, step))
            _tell_killed(page, done)
        page.begin()
        paired = kill_everywhere(
            JOBS[1], folder, seed=2, chosen=lambda _points: (), pairs=partial(draw_pairs, count=pairs, seed=2)
        )
        page.judge(paired.failures)
        page.tell("F5 killed again during the recovery: lost or doubled", len(paired.failures), paired.pairs)
    finally:
        shutil.rmtree(folder)


def _every(step: int, points: int) -> range:
    return range(1, points + 1, step)


def _tell_killed(page: Page, done: Killed) -> None:
    page.judge(done.failures)
    page.tell(
        f"F5 job «{done.job}» of {done.operations} operations, killed at {done.kills} of {done.points} points: "
        "lost or doubled",
        len(done.failures),
    )


def tell_determinism(page: Page, seeds: int) -> None:
    """F20: the same seeds under two seeds of Python's hashes."""
    page.begin()
    first, second = (_hashes(seeds, hash_seed) for hash_seed in ("0", "4242"))
    unequal = [
        f"seed={seed}: two traces" for seed, pair in enumerate(zip(first, second, strict=True)) if len({*pair}) > 1
    ]
    page.tell("F20 worlds whose second trace differs", page.judge(unequal), seeds)


def _hashes(seeds: int, hash_seed: str) -> list[str]:
    command = [sys.executable, "-c", HASHES, str(seeds)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


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


def tell_catches(page: Page, bug_seeds: int, processes: int) -> list[Catch]:
    """F10: every planted mistake."""
    page.begin()
    catches: list[Catch] = []
    for one in iter_catches(bug_seeds, processes):
        print(*one, file=sys.stderr)
        catches.append(one)
    missed = [name for name, number, _ in catches if number is None and name not in ELSEWHERE]
    # a small run may miss what a thousand seeds catch: said on the page, and a fault only of the whole run
    page.judge([f"{name}: not caught within {bug_seeds} seeds" for name in missed] if bug_seeds >= 1000 else [])
    caught = len(catches) - sum(1 for _, number, _ in catches if number is None)
    page.tell(f"F10 planted mistakes caught by worlds within {bug_seeds} seeds", f"{caught} of {len(catches)}")
    return catches


def write_page(page: Page, catches: list[Catch], command: str, bug_seeds: int) -> str:
    """The page as Markdown."""
    lines = [
        "# Figures of the simulation",
        "",
        "Made by `make figures`; what the rows mean stands in [reliability](reliability.md).",
        "",
        f"Command: `{command}`, commit {find_commit()}.",
        "",
        "| figure | value | from |",
        "|---|---|---|",
        *(f"| {name} | {value} | {source} |" for name, value, source in page.rows),
        "",
        "## Planted mistakes",
        "",
        "Each is patched into the production steps from the tests' side; worlds are played until one shows it.",
        "",
        "| mistake | what it is | seeds to catch | caught by |",
        "|---|---|---|---|",
        *(
            f"| {name} | {BUGS[name][0]} | {number or f'not in {bug_seeds}'} | {invariant or ELSEWHERE.get(name, '')} |"
            for name, number, invariant in catches
        ),
        "",
    ]
    return "\n".join(lines)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"


def _tell_progress(done: int, total: int) -> None:
    if done % 100 == 0:
        print(f"{done}/{total}", file=sys.stderr)


def main() -> int:
    """Reach all figures, write the page; 1 where anything was violated or a mistake was not caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="worlds; drills are a tenth, replays a fiftieth")
    parser.add_argument(
        "--bug-seeds", type=int, default=1_000, help="worlds in which each planted mistake is looked for"
    )
    parser.add_argument("--lives", type=int, default=2_000, help="lives of choices, undos and holds")
    parser.add_argument("--pairs", type=int, default=5_000, help="pairs of kills")
    parser.add_argument("--night-step", type=int, default=1, help="every how manieth point of the night's job")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    configure_logging(level="ERROR")
    page = Page()
    tell_planner(page, 100 * wanted.seeds)
    tell_worlds(page, wanted.seeds, wanted.processes)
    tell_drills(page, max(wanted.seeds // 10, 1), wanted.processes)
    tell_years(page, max(wanted.seeds // 50, 1))
    tell_lives(page, wanted.lives)
    tell_determinism(page, max(wanted.seeds // 50, 1))
    tell_kills(page, wanted.pairs, wanted.night_step)
    catches = tell_catches(page, wanted.bug_seeds, wanted.processes)
    options = (
        f"--seeds {wanted.seeds} --bug-seeds {wanted.bug_seeds} --lives {wanted.lives} --pairs {wanted.pairs}"
        f" --night-step {wanted.night_step}"
    )
    command = f"python tests/simulation/figures.py {options} --out docs/reference/figures.md"
    wanted.out.write_text(write_page(page, catches, command, wanted.bug_seeds), encoding="utf-8")
    return int(not page.is_good)


if __name__ == "__main__":
    sys.exit(main())
