"""Many seeds on all cores, summed up into one table; each seed alone stays repeatable."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import msgspec

from gateway.simulation.ear import Ear
from gateway.simulation.play import Played, play

CHUNK_COUNT = 5
"""Seeds handed to a process at once: some ten seconds of work."""
UNKNOWN_COMMIT = "unknown"
SUMMED = (
    "crashes",
    "pauses",
    "points",
    "calls",
    "runs",
    "effects",
    "human_effects",
    "blind_overwrites",
    "beyond_bound",
    "doubled_beyond",
    "restores",
    "log_lines",
)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that violated an invariant, with what led to it."""

    seed: int
    label: str
    invariant: str
    sentence: str
    where: str
    tail: list[str]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What many seeds did together.

    Attributes:
        simulated_h: Virtual hours.
        real_s: Wall-clock seconds of the whole.
        passes: Runs after the last fault until nothing moved any more → seeds.
        quiet_s: Longest virtual time from the last fault to quiet.
        differing: Places that differed at the end, each of them listed by the last plan: reason → count.
        kinds: What was written into the city → how often.
        labels: Kind of world → seeds.
    """

    first_seed: int
    seeds: int
    commit: str
    simulated_h: float
    real_s: float
    counts: dict[str, int]
    passes: dict[str, int]
    quiet_s: float
    differing: dict[str, int]
    kinds: dict[str, int]
    labels: dict[str, int]
    failures: list[Failure]

    @property
    def seeds_per_s(self) -> float:
        """Speed over all processes."""
        return self.seeds / self.real_s if self.real_s else 0.0


def play_many(
    seeds: Sequence[int],
    *,
    processes: int | None = None,
    is_drill: bool = False,
    has_chosen: bool = False,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> Summary:
    """Play seeds and sum them up.

    Args:
        seeds: Which, in any order.
        processes: How many at once; None = one a core, 1 = in this process, whose logs stay as they are.
        is_drill: A backup is put back in each (F18).
        has_chosen: Final marks, lateness, remarks and topics are sent as well.
        told: Called with (done, total) as it goes.
    """
    began = time.perf_counter()
    count = processes if processes is not None else multiprocessing.cpu_count()
    played: list[Played] = []
    one = partial(play, is_drill=is_drill, has_chosen=has_chosen)
    for chunk in _play_here(seeds, one) if count == 1 else _play_apart(seeds, count, one):
        played.extend(chunk)
        told(len(played), len(seeds))
    played.sort(key=lambda one: one.seed)
    return _sum_up(played, time.perf_counter() - began)


def _play_here(seeds: Sequence[int], one: Callable[..., Played]) -> Iterator[list[Played]]:
    for seed in seeds:
        yield [one(seed)]


def _play_apart(seeds: Sequence[int], processes: int, one: Callable[..., Played]) -> Iterator[list[Played]]:
    chunks = [list(seeds[start : start + CHUNK_COUNT]) for start in range(0, len(seeds), CHUNK_COUNT)]
    # spawn: a forked child would share the parent's locks and its one database in memory
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        yield from pool.map(partial(_play_chunk, one=one), chunks)


_EAR = Ear()


def _begin() -> None:
    """In a process of our own all logs go to the ear: they warn of what is arranged here on purpose, thousands of times."""
    _EAR.hear_all_logs()
    gc.freeze()  # what is imported by now lives to the end, and need not be looked at again and again


def _play_chunk(seeds: list[int], *, one: Callable[..., Played]) -> list[Played]:
    return [one(seed, ear=_EAR) for seed in seeds]


def _sum_up(played: Sequence[Played], real_s: float) -> Summary:
    differing: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one in played:
        differing.update(one.differing)
        kinds.update(one.kinds)
    good = [one for one in played if not one.violation]
    return Summary(
        first_seed=played[0].seed if played else 0,
        seeds=len(played),
        commit=find_commit(),
        simulated_h=sum(one.simulated_s for one in played) / 3600.0,
        real_s=real_s,
        counts={name: sum(getattr(one, name) for one in played) for name in SUMMED},
        passes={str(number): count for number, count in sorted(Counter(one.passes for one in good).items())},
        quiet_s=max((one.quiet_s for one in good), default=0.0),
        differing=dict(sorted(differing.items())),
        kinds=dict(sorted(kinds.items())),
        labels=dict(sorted(Counter(one.label for one in played).items())),
        failures=[
            Failure(
                seed=one.seed,
                label=one.label,
                invariant=one.invariant,
                sentence=one.violation,
                where=one.where,
                tail=one.tail,
            )
            for one in played
            if one.violation
        ],
    )


def join(summaries: Sequence[Summary]) -> Summary:
    """Several summaries as one; of several commits all are named, and of the times their sum is taken."""

    def total(name: str) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for one in summaries:
            counted.update(getattr(one, name))
        return dict(sorted(counted.items()))

    return Summary(
        first_seed=min(one.first_seed for one in summaries),
        seeds=sum(one.seeds for one in summaries),
        commit=", ".join(dict.fromkeys(one.commit for one in summaries)),
        simulated_h=sum(one.simulated_h for one in summaries),
        real_s=sum(one.real_s for one in summaries),
        quiet_s=max(one.quiet_s for one in summaries),
        failures=[failure for one in summaries for failure in one.failures],
        **{name: total(name) for name in ("counts", "passes", "differing", "kinds", "labels")},
    )


def find_commit() -> str:
    """The commit of the working copy this package is run from, 12 digits; `unknown` for an installed one."""
    folder = Path(__file__).resolve().parents[2] / ".git"
    try:
        if folder.is_file():  # a further working copy: its own HEAD, and the branches of the first one
            folder = Path(folder.read_text(encoding="utf-8").strip().removeprefix("gitdir: "))
        head = (folder / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head[:12]
        shared = folder / "commondir"
        branches = folder / shared.read_text(encoding="utf-8").strip() if shared.exists() else folder
        return (branches / head.removeprefix("ref: ")).read_text(encoding="ascii").strip()[:12]
    except (OSError, ValueError):
        return UNKNOWN_COMMIT


__all__ = ["Failure", "Summary", "find_commit", "join", "play_many"]
