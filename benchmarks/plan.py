"""How fast a night is planned, beside the library diffsync on the same files.

    python -m benchmarks.plan --marks 100000 --json

Two JSON-lines files are made, last night's database is prepared, then each side runs in a process of its own, so that
memory is each one's. Measured for the gateway: reading and validating both files, storing what changed, the join of the
three legs, the decisions, the stored and sealed plan. Measured for diffsync: loading both files and one diff. Both must
find what was planted, else there is no figure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.plan_files import write_files

DIFFSYNC_MOST = 300_000
"""It keeps 5 kB a mark; above this it is measured at fewer and the figure says so."""
DIFFSYNC_INSTEAD = 100_000


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one side's process reports."""

    seconds: float
    rss_mb: float
    by_reason: dict[str, int]


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The benchmark's answer; records a second, resident megabytes of the gateway's process at its highest.

    Attributes:
        diffsync_marks: At how many marks diffsync was measured, where not at as many.
    """

    ours: float
    diffsync: float
    ratio: float
    rss_mb: float
    diffsync_marks: int | None = None


class WrongDecisionsError(Exception):
    """A side found something else than what was planted."""


def run(folder: Path, count: int, seed: int) -> Figures:
    """Measure both sides in a folder, which is filled.

    Raises:
        WrongDecisionsError: A side found something else than what was planted; a fast wrong plan is worth nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    planted = write_files(folder, count, seed)
    _run_side("plan_ours", "prepare", str(folder), str(count), str(seed))
    ours = msgspec.json.decode(_run_side("plan_ours", "measure", str(folder)), type=Side)
    if ours.by_reason != planted:
        raise WrongDecisionsError(f"planted {planted}, planned {ours.by_reason}")
    other_count = count if count <= DIFFSYNC_MOST else DIFFSYNC_INSTEAD
    other_folder = folder
    if other_count != count:
        other_folder = folder / "diffsync"
        other_folder.mkdir(exist_ok=True)
        planted = write_files(other_folder, other_count, seed)
    other = msgspec.json.decode(_run_side("plan_diffsync", str(other_folder)), type=Side)
    if other.by_reason != _as_two_legged(planted):
        raise WrongDecisionsError(f"planted {planted}, diffsync found {other.by_reason}")
    ours_per_s, other_per_s = count / ours.seconds, other_count / other.seconds
    return Figures(
        ours=round(ours_per_s),
        diffsync=round(other_per_s),
        ratio=round(ours_per_s / other_per_s, 2),
        rss_mb=round(ours.rss_mb, 1),
        diffsync_marks=None if other_count == count else other_count,
    )


def _as_two_legged(planted: dict[str, int]) -> dict[str, int]:
    """What a comparison without a base calls the same differences."""
    return {
        "create": planted.get("CREATE", 0),
        "update": planted.get("CHANGE", 0) + planted.get("DRIFT", 0),
        "delete": planted.get("DELETE_HELD", 0),
        "no-change": planted.get("NO_CHANGE", 0),
        "skip": 0,
    }


def _run_side(module: str, *arguments: str) -> bytes:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__.splitlines()[0])
    parser.add_argument("--marks", type=int, default=100_000, help="marks of the school")
    parser.add_argument("--seed", type=int, default=1, help="seed of the made-up school")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    parser.add_argument("--keep", type=Path, help="folder to leave the files and the database in")
    wanted = parser.parse_args(arguments)
    if wanted.keep is not None:
        figures = run(wanted.keep, wanted.marks, wanted.seed)
    else:
        with tempfile.TemporaryDirectory(prefix="plan-benchmark-") as folder:
            figures = run(Path(folder), wanted.marks, wanted.seed)
    at = wanted.marks if figures.diffsync_marks is None else figures.diffsync_marks
    sys.stderr.write(
        f"{wanted.marks} marks: gateway {figures.ours:.0f}/s in {figures.rss_mb:.0f} MB,"
        f" diffsync {figures.diffsync:.0f}/s (at {at} marks), {figures.ratio:.1f} times\n"
    )
    if wanted.json:
        sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")
        return
    for name, value in msgspec.structs.asdict(figures).items():
        if value is not None:
            sys.stdout.write(f"{name:15} {value:>12}\n")


if __name__ == "__main__":
    main()
