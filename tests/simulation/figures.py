"""Reaches the figures of reliability in one command, and writes them as a page; `make figures` runs it.

python tests/simulation/figures.py --seeds 10000 --bug-seeds 1000 --out docs/reference/figures.md

A small run shows that it works: `--seeds 50 --bug-seeds 5 --pairs 20`. Every line of the page says how many seeds, how
many minutes and which commit it comes from. With `--keep FOLDER` what is done is kept, five hundred worlds and a mistake at
a time, and a run that was broken off goes on from there; `--part worlds` (again for others) runs only that.
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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import msgspec
import planted_more  # noqa: F401  # plants the second half
from planted import BUGS, find_catch

from gateway.simulation.killed import JOBS, Killed, draw_pairs, kill_everywhere
from gateway.simulation.many import Summary, find_commit, join, play_many
from gateway.simulation.planner import try_cells
from gateway.simulation.play import play_two_years
from gateway.simulation.resolving import live_many
from gateway.telemetry import configure_logging

Catch = tuple[str, int | None, str]
"""Mistake, how many seeds it took, the invariant that caught it."""
Row = tuple[str, str, str]
"""Figure, value, from how much."""
T = TypeVar("T")

KEPT_SEEDS = 500
COUNTED = {"choices": "choices", "acts": "what happened", "left": "left aside at the end"}
"""Counters of lives, by what the page calls them."""
PARTS = ("decisions", "worlds", "drills", "years", "lives", "determinism", "kills", "mistakes")
ELSEWHERE = {
    "nofence": "`tests/unit/queue/test_claims.py`; in a world the read-back mends what a late answer says, not in 1 000",
    "one_read_proves": "`tests/simulation/test_planner.py` (a list that lacks something, on one cell)",
    "supersede_forgotten": "`tests/unit/queue/test_release.py`; in a world the ground is asked again before the call, which drops it",
    "unread_days_judged": "`tests/unit/queue/test_claims.py`, `tests/flow/test_waiting.py`; not in 300 worlds",
}
"""Mistakes that another harness catches sooner than a world does: mistake → where. They are not looked for in worlds."""
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

    def tell(
        self, name: str, value: object, seeds: int | None = None, *, took_s: float | None = None, commit: str = ""
    ) -> None:
        """Add a row; what was played before says itself how long it took, and on which commit."""
        spent_s = took_s if took_s is not None else time.perf_counter() - self._began
        minutes = f"{spent_s / 60:.1f} min, {commit or find_commit()}"
        self.rows.append((name, str(value), minutes if seeds is None else f"{seeds} seeds, {minutes}"))
        print(f"{name}: {value} ({self.rows[-1][2]})", file=sys.stderr)

    def judge(self, violations: list[str]) -> int:
        """Keep that something was violated, and say what."""
        self.is_good = self.is_good and not violations
        for line in violations:
            print(line, file=sys.stderr)
        return len(violations)


class Kept:
    """Results kept between runs of this command, one file each; nowhere without a folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], T], kind: type[T]) -> T:
        """What is kept under that name, else made now and kept."""
        if self._folder is None:
            return make()
        file = self._folder / f"{name}.json"
        if file.exists():
            return msgspec.json.decode(file.read_bytes(), type=kind)
        made = make()
        file.write_bytes(msgspec.json.encode(made))
        return made


def play_kept(kept: Kept, name: str, seeds: int, processes: int, *, is_drill: bool = False) -> Summary:
    """Play so many seeds, as many at a time as are kept together."""
    summaries = [
        kept.get(
            f"{name}-{start}-{min(start + KEPT_SEEDS, seeds)}",
            partial(play_many, range(start, min(start + KEPT_SEEDS, seeds)), processes=processes, is_drill=is_drill),
            Summary,
        )
        for start in _progress(range(0, seeds, KEPT_SEEDS), name)
    ]
    return join(summaries)


def _progress(starts: Sequence[int], name: str) -> Iterator[int]:
    for number, start in enumerate(starts):
        print(f"{name}: {number} of {len(starts)} parts", file=sys.stderr)
        yield start


def tell_worlds(page: Page, kept: Kept, seeds: int, processes: int) -> None:
    """F1–F3, F15, F21: whole worlds."""
    summary = play_kept(kept, "worlds", seeds, processes)
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
        page.tell(name, value, seeds, took_s=summary.real_s, commit=summary.commit)


def tell_drills(page: Page, kept: Kept, seeds: int, processes: int) -> None:
    """F18: a restore in each world."""
    summary = play_kept(kept, "drills", seeds, processes, is_drill=True)
    failures = [f"drill seed={one.seed} {one.invariant}: {one.sentence}" for one in summary.failures]
    page.tell(
        "F18 lost or doubled after a restore",
        page.judge(failures),
        seeds,
        took_s=summary.real_s,
        commit=summary.commit,
    )


def tell_years(page: Page, seeds: int) -> None:
    """D8: the end of a school year."""
    page.begin()
    played = [play_two_years(seed) for seed in range(seeds)]
    failures = [f"two years seed={one.seed} {one.invariant}: {one.violation}" for one in played if one.violation]
    page.tell("D8 violations over the end of a school year", page.judge(failures), seeds)


class Lives(msgspec.Struct, frozen=True, kw_only=True):
    """What some lives of choices did together."""

    commit: str
    took_s: float
    failures: list[str]
    choices: dict[str, int]
    acts: dict[str, int]
    left: dict[str, int]


def live_some(seeds: Sequence[int]) -> Lives:
    """Live them and sum them up."""
    began = time.perf_counter()
    lived = live_many(seeds)
    return Lives(
        commit=find_commit(),
        took_s=time.perf_counter() - began,
        failures=[f"lives seed={one.seed} {one.violation}" for one in lived if one.violation],
        **{name: dict(sum((Counter(getattr(one, name)) for one in lived), Counter())) for name in COUNTED},
    )


def tell_lives(page: Page, kept: Kept, lives: int) -> None:
    """Edits on both sides, resolutions, holds, undos and failing calls."""
    some = [
        kept.get(
            f"lives-{start}-{min(start + KEPT_SEEDS, lives)}",
            partial(live_some, range(start, min(start + KEPT_SEEDS, lives))),
            Lives,
        )
        for start in _progress(range(0, lives, KEPT_SEEDS), "lives")
    ]
    took_s, commit = sum(one.took_s for one in some), ", ".join(dict.fromkeys(one.commit for one in some))
    tell = partial(page.tell, seeds=lives, took_s=took_s, commit=commit)
    tell("lives of choices that violate C1–C4", page.judge([line for one in some for line in one.failures]))
    for name, words in COUNTED.items():
        total: Counter[str] = Counter()
        for one in some:
            total.update(getattr(one, name))
        tell(f"lives of choices: {words}", _words(dict(sorted(total.items()))))


def tell_planner(page: Page, cases: int) -> None:
    """F4: the decision alone."""
    page.begin()
    try_cells(cases)
    page.tell("F4 violations of I1, I2, I4, I15 by the decision alone", 0, cases)


class KilledJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job killed at many points, and how long that took."""

    commit: str
    took_s: float
    done: Killed


def tell_kills(page: Page, kept: Kept, pairs: int, night_step: int) -> None:
    """F5: killed at points, and again during the recovery."""
    memory = Path("/dev/shm")  # a kill, unlike a power cut, takes nothing of what is not on the disk
    folder = Path(tempfile.mkdtemp(prefix="gateway-figures-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        for job in JOBS:
            step = night_step if job is JOBS[-1] else 1
            kill = partial(kill_everywhere, job, folder, chosen=partial(_every, step))
            _tell_killed(page, kept.get(f"kills-{job.name}-{step}", partial(_timed, kill), KilledJob))
        twice = partial(
            kill_everywhere,
            JOBS[1],
            folder,
            seed=2,
            chosen=lambda _points: (),
            pairs=partial(draw_pairs, count=pairs, seed=2),
        )
        paired = kept.get(f"pairs-{pairs}", partial(_timed, twice), KilledJob)
        page.judge(paired.done.failures)
        page.tell(
            f"F5 killed again during the recovery, {paired.done.pairs} pairs: lost or doubled",
            len(paired.done.failures),
            took_s=paired.took_s,
            commit=paired.commit,
        )
    finally:
        shutil.rmtree(folder)


def _every(step: int, points: int) -> range:
    return range(1, points + 1, step)


def _timed(kill: Callable[[], Killed]) -> KilledJob:
    began = time.perf_counter()
    done = kill()
    return KilledJob(commit=find_commit(), took_s=time.perf_counter() - began, done=done)


def _tell_killed(page: Page, job: KilledJob) -> None:
    done = job.done
    page.judge(done.failures)
    page.tell(
        f"F5 job «{done.job}» of {done.operations} operations, killed at {done.kills} of {done.points} points: "
        "lost or doubled",
        len(done.failures),
        took_s=job.took_s,
        commit=job.commit,
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


def tell_catches(page: Page, kept: Kept, bug_seeds: int, processes: int) -> list[Catch]:
    """F10: every planted mistake, each in a process of its own."""
    page.begin()
    catches: list[Catch] = []
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool,
        ThreadPool(processes) as all_,
    ):
        find = partial(_find_kept, kept, pool, bug_seeds)
        for one in all_.imap(find, [name for name in BUGS if name not in ELSEWHERE]):
            print(*one, file=sys.stderr)
            catches.append(one)
    missed = [name for name, number, _ in catches if number is None]
    # a small run may miss what a thousand seeds catch: said on the page, and a fault only of the whole run
    page.judge([f"{name}: not caught within {bug_seeds} seeds" for name in missed] if bug_seeds >= 1000 else [])
    caught = len(catches) - len(missed)
    page.tell(
        f"F10 planted mistakes caught by worlds within {bug_seeds} seeds",
        f"{caught} of {len(catches)}; {len(ELSEWHERE)} more are caught elsewhere",
    )
    return catches


def _find_kept(kept: Kept, pool: ProcessPoolExecutor, bug_seeds: int, name: str) -> Catch:
    return kept.get(f"mistake-{name}", lambda: pool.submit(catch, (name, bug_seeds)).result(), Catch)


def write_page(page: Page, catches: list[Catch], command: str, bug_seeds: int) -> str:
    """The page as Markdown."""
    lines = [
        "# Figures of the simulation",
        "",
        "Made by `make figures`; what the rows mean stands in [reliability](reliability.md).",
        "",
        f"Command: `{command}`.",
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
            f"| {name} | {BUGS[name][0]} | {number or f'not in {bug_seeds}'} | {invariant} |"
            for name, number, invariant in catches
        ),
        *(f"| {name} | {BUGS[name][0]} | | {where} |" for name, where in ELSEWHERE.items()),
        "",
    ]
    return "\n".join(lines)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"


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
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument(
        "--keep", type=Path, help="folder of what is done; a run that was broken off goes on from there"
    )
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    configure_logging(level="ERROR")
    page, kept = Page(), Kept(wanted.keep)
    parts = wanted.part or PARTS
    seeds, processes = wanted.seeds, wanted.processes
    catches: list[Catch] = []
    if "decisions" in parts:
        tell_planner(page, 100 * seeds)
    if "worlds" in parts:
        tell_worlds(page, kept, seeds, processes)
    if "drills" in parts:
        tell_drills(page, kept, max(seeds // 10, 1), processes)
    if "years" in parts:
        tell_years(page, max(seeds // 50, 1))
    if "lives" in parts:
        tell_lives(page, kept, wanted.lives)
    if "determinism" in parts:
        tell_determinism(page, max(seeds // 50, 1))
    if "kills" in parts:
        tell_kills(page, kept, wanted.pairs, wanted.night_step)
    if "mistakes" in parts:
        catches = tell_catches(page, kept, wanted.bug_seeds, processes)
    options = (
        f"--seeds {wanted.seeds} --bug-seeds {wanted.bug_seeds} --lives {wanted.lives} --pairs {wanted.pairs}"
        f" --night-step {wanted.night_step}"
    )
    command = f"python tests/simulation/figures.py {options} --out docs/reference/figures.md"
    wanted.out.write_text(write_page(page, catches, command, wanted.bug_seeds), encoding="utf-8")
    return int(not page.is_good)


if __name__ == "__main__":
    sys.exit(main())
