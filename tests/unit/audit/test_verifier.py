"""The stand-alone verifier finds every change to an export, by whoever knows the format as well as we do (F9)."""

from __future__ import annotations

import ast
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import verifier
from gateway.audit.chain import GENESIS, entry_hash
from gateway.audit.checkpoint import find_checkpoints
from gateway.audit.deed import Actor, Deed
from gateway.audit.lines import build_line, build_mark
from gateway.audit.log import AuditLog
from gateway.audit.merkle import Frontier
from gateway.audit.read import VERIFIER_NAME, export
from gateway.domain.clock import VirtualClock
from gateway.store.transaction import Store

START_AT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
THOROUGH = "GATEWAY_TEST_THOROUGH"
"""Set: every position and every byte (minutes); else a spread of them."""

DEEDS, ACCESSES = 880, 120
IS_THOROUGH = bool(os.environ.get(THOROUGH))
POSITIONS = range(DEEDS) if IS_THOROUGH else [*range(0, DEEDS - 1, 15), DEEDS - 1]
BYTE_STRIDE = 29  # prime: over the lines it meets every place in a line

Lines = list[dict[str, Any]]
Kept = list[tuple[str, str, str]]


def build_export(folder: Path, deeds: int, accesses: int) -> Path:
    """Export a log of that many entries, its last run just ended."""
    store = Store.open(f"sqlite:///{folder / 'gateway.sqlite'}", VirtualClock(START_AT))
    log = AuditLog(store, environment="test", code_version="0.1.0", tick=itertools.count(1).__next__)
    worker = Actor("service", "worker", role="delivery")
    with store.write() as conn:
        seen = Deed(stream="access", action="passport.seen", actor=Actor("os_user", "root"))
        log.append_many(conn, [seen] * accesses)
        done = [
            Deed(
                action="operation.verified",
                actor=worker,
                operation_id=number,
                counts={"sent": number},
                outcome="confirmed",
            )
            for number in range(1, deeds)
        ]
        log.append_many(conn, [*done, Deed(action="run.finished", actor=worker, run_id=1)], is_run_end=True)
    export(store, folder / "audit.jsonl")
    store.close()
    return folder / "audit.jsonl"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of 1 000 records in two streams."""
    return build_export(tmp_path_factory.mktemp("exported"), DEEDS, ACCESSES)


@pytest.fixture(scope="module")
def entries(exported: Path) -> Lines:
    return [json.loads(line) for line in exported.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def kept(entries: Lines) -> Kept:
    """The checkpoints of the last run's end, as they were kept elsewhere."""
    ends = [f"{stream} {part['count']} {part['root']}" for stream, part in entries[-1]["streams"].items()]
    return verifier.CHECKPOINT.findall("\n".join(ends))


def check(content: bytes, kept: Kept | None = None) -> str | None:
    """What the verifier finds wrong; None when nothing."""
    try:
        verifier.verify(io.BytesIO(content), kept or [])
    except verifier.Broken as broken:
        return str(broken)
    except (ValueError, KeyError, TypeError) as error:  # what its `main` takes for damage too
        return type(error).__name__
    return None


def spell(lines: Lines) -> bytes:
    return b"".join(build_line(line) for line in lines)


def hashed(line: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The line with other fields and the hash that these have."""
    line = line | changed
    return line | {"hash": entry_hash(line)}


def chained_anew(lines: Lines) -> bytes:
    """A whole export made of these entries by somebody who can do all that we can, its last line included."""
    heads = {stream: (0, GENESIS, Frontier()) for stream in ("deeds", "access")}
    done, checkpoints = [], []
    for line in lines[:-1]:
        size, head, tree = heads[line["stream"]]
        line = hashed(line, seq=size + 1, prev_hash=head)
        tree.push(line["hash"])
        heads[line["stream"]] = (size + 1, line["hash"], tree)
        done.append(line)
        if tree.size % 100 == 0:
            checkpoints.append(f"{line['stream']} {tree.size} {tree.root()}")
    content = spell(done)
    streams = {
        stream: {"count": size, "head_hash": head, "root": tree.root()} for stream, (size, head, tree) in heads.items()
    }
    rest = {name: lines[-1][name] for name in ("exported_at", "instance_id")}
    return content + build_mark(streams, checkpoints, **rest, lines_sha256=hashlib.sha256(content).hexdigest())


def other(at: int) -> int:
    return (at + 400) % DEEDS


def put(lines: Lines, at: int, *new: dict[str, Any]) -> Lines:
    return [*lines[:at], *new, *lines[at + 1 :]]


FORGED = {"outcome": "refused"}

# What is found without any help, at entry `at`.
OPEN_ATTACKS: dict[str, Callable[[Lines, int], bytes]] = {
    "edit": lambda e, at: spell(put(e, at, e[at] | FORGED)),
    "edit and hash anew": lambda e, at: spell(put(e, at, hashed(e[at], **FORGED))),
    "edit, hash anew and link the next": lambda e, at: spell(
        put(put(e, at, hashed(e[at], **FORGED)), at + 1, hashed(e[at + 1], prev_hash=hashed(e[at], **FORGED)["hash"]))
    ),
    "delete": lambda e, at: spell(put(e, at)),
    "delete and renumber the next": lambda e, at: spell(
        put(put(e, at + 1, hashed(e[at + 1], seq=e[at]["seq"], prev_hash=e[at]["prev_hash"])), at)
    ),
    "swap neighbours": lambda e, at: spell([*e[:at], e[at + 1], e[at], *e[at + 2 :]]),
    "swap distant": lambda e, at: spell(put(put(e, at, e[other(at)]), other(at), e[at])),
    "double": lambda e, at: spell(put(e, at, e[at], e[at])),
    "insert a fitting one": lambda e, at: spell(
        put(e, at, hashed(e[at], operation_id=666), hashed(e[at], seq=e[at]["seq"] + 1, prev_hash=e[at]["hash"]))
    ),
    "replace by another": lambda e, at: spell(put(e, at, e[other(at)])),
    "move to the other stream": lambda e, at: spell(put(e, at, hashed(e[at], stream="access"))),
    "name a stream of one's own": lambda e, at: spell(put(e, at, hashed(e[at], stream="trash"))),
    "put an access among the deeds": lambda e, at: spell([*e[:at], e[DEEDS], *e[at:DEEDS], *e[DEEDS + 1 :]]),
    "cut out the rest of the stream": lambda e, at: spell([*e[:at], *e[DEEDS:]]),
    "cut off the end": lambda e, at: spell(e[:at]),
    "cut off in the middle of a line": lambda e, at: spell(e)[: len(spell(e[:at])) + 100],
    "insert an empty line": lambda e, at: spell(e[:at]) + b"\n" + spell(e[at:]),
    "end a line in another way": lambda e, at: spell(e[: at + 1])[:-1] + b"\r\n" + spell(e[at + 1 :]),
    "add a key twice": lambda e, at: spell(e[:at]) + b'{"action":"x.y",' + spell(e[at:])[1:],
    "promise more than there is": lambda e, at: spell(
        put(e, len(e) - 1, hashed(e[-1], checkpoints=[f"deeds {DEEDS + 1 + at} {'0' * 64}"]))
    ),
}

# What a chain can't show: everything after it is made anew, the last line too. Found with a checkpoint kept elsewhere.
CLOSED_ATTACKS: dict[str, Callable[[Lines, int], bytes]] = {
    "edit and chain anew": lambda e, at: chained_anew(put(e, at, e[at] | FORGED)),
    "delete and chain anew": lambda e, at: chained_anew(put(e, at)),
    "insert and chain anew": lambda e, at: chained_anew(put(e, at, e[at] | FORGED, e[at])),
    "swap and chain anew": lambda e, at: chained_anew(put(put(e, at, e[other(at)]), other(at), e[at])),
    "cut off the end and close": lambda e, at: chained_anew([*e[:at], *e[DEEDS:]]),
    "cut off both streams and close": lambda e, at: chained_anew([*e[:at], e[-1]]),
}


def test_an_untouched_export_is_whole_also_by_its_checkpoints(exported: Path, kept: Kept) -> None:
    assert check(exported.read_bytes()) is None
    assert check(exported.read_bytes(), kept) is None


def test_the_forger_of_these_tests_makes_the_very_bytes_that_we_make(exported: Path, entries: Lines) -> None:
    """Else an attack would be found by a slip of the test."""
    assert spell(entries) == exported.read_bytes()
    assert check(chained_anew(entries)) is None


@pytest.mark.parametrize("kind", OPEN_ATTACKS)
def test_an_attack_on_an_export_is_found_wherever_it_is(entries: Lines, kind: str) -> None:
    attack = OPEN_ATTACKS[kind]

    assert [at for at in POSITIONS if check(attack(entries, at)) is None] == []


@pytest.mark.parametrize("kind", CLOSED_ATTACKS)
def test_a_forged_whole_is_found_by_a_checkpoint_kept_elsewhere_wherever_it_is(
    entries: Lines, kept: Kept, kind: str
) -> None:
    attack = CLOSED_ATTACKS[kind]

    assert [at for at in POSITIONS if check(attack(entries, at), kept) is None] == []


@pytest.mark.parametrize("kind", CLOSED_ATTACKS)
def test_a_forged_whole_is_not_found_without_one(entries: Lines, kind: str) -> None:
    """The negative control: these attacks are real ones, and the checkpoint is what finds them (M19)."""
    assert check(CLOSED_ATTACKS[kind](entries, 450)) is None


def iter_flipped(content: bytes, places: range) -> Iterator[bytes]:
    changed = bytearray(content)
    for place in places:
        changed[place] ^= 1 << place % 8
        yield bytes(changed)
        changed[place] = content[place]


@pytest.mark.slow
def test_a_flipped_bit_in_a_byte_of_an_export_is_found(tmp_path: Path) -> None:
    """Of 200 records: every 29th byte and all of the last line; every byte where GATEWAY_TEST_THOROUGH is set."""
    content = build_export(tmp_path, 160, 40).read_bytes()
    places = range(0, len(content), 1 if IS_THOROUGH else BYTE_STRIDE)
    last_line = range(content.rindex(b"\n", 0, -1), len(content))

    missed = sum(check(flipped) is None for part in (places, last_line) for flipped in iter_flipped(content, part))

    assert missed == 0
    assert check(content) is None


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    # -I -S: nothing but the interpreter and its standard library can be imported
    told = subprocess.run(
        [sys.executable, "-I", "-S", VERIFIER_NAME, *arguments], cwd=folder, capture_output=True, check=False
    )
    assert told.stderr == b""
    return told.returncode, told.stdout.decode()


def test_the_verifier_beside_an_export_runs_alone_and_says_one_line(exported: Path, tmp_path: Path, kept: Kept) -> None:
    report = tmp_path / "night.txt"
    report.write_text("Отчёт за ночь\n" + "\n".join(" ".join(item) for item in kept), encoding="utf-8")

    assert run(exported.parent, "audit.jsonl") == (
        0,
        "ЦЕЛ: записей deeds 880, access 120; контрольных точек сверено: своих 11, сохранённых отдельно 0\n",
    )
    for given in (" ".join(kept[0]), str(report), "audit.jsonl"):
        code, told = run(exported.parent, "audit.jsonl", "--checkpoint", given)
        assert (code, told.count("\n")) == (0, 1)
        assert told.startswith("ЦЕЛ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["audit.jsonl", "--checkpoint", "deeds 1000 " + "0" * 64], "конец отрезан"),
        (["audit.jsonl", "--checkpoint", "deeds 500 " + "0" * 64], "строка 500"),
        (["audit.jsonl", "--checkpoint", VERIFIER_NAME], "нет ни одной контрольной точки"),
        (["audit.jsonl", "--checkpoint", "no such file"], "не читается"),
        (["audit.jsonl", "--checkpoint", ""], "не читается"),
        (["nothing.jsonl"], "не читается"),
        ([VERIFIER_NAME], "изменена или оборвана"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_one(exported: Path, arguments: list[str], told: str) -> None:
    code, line = run(exported.parent, *arguments)

    assert (code, line.count("\n")) == (1, 1)
    assert line.startswith("НАРУШЕН")
    assert told in line


def test_an_empty_log_and_an_empty_file_are_told_apart(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'gateway.sqlite'}", VirtualClock(START_AT))
    export(store, tmp_path / "audit.jsonl")
    store.close()

    assert check((tmp_path / "audit.jsonl").read_bytes()) is None
    assert check(b"") is not None


def test_the_verifier_is_short_and_needs_python_3_9_and_its_standard_library_only(exported: Path) -> None:
    text = (exported.parent / VERIFIER_NAME).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert text == Path(verifier.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_the_last_line_tells_the_checkpoints_that_the_database_has(entries: Lines) -> None:
    told = find_checkpoints("\n".join(entries[-1]["checkpoints"]))

    assert [point.count for point in told] == [*range(100, 801, 100), 880, 100, 120]
    assert told[-1].root == entries[-1]["streams"]["access"]["root"]
