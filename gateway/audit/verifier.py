"""Verifies an export of the gateway's audit log without the gateway: Python 3.9 or newer, standard library only.

    python verify_audit.py audit.jsonl [--checkpoint FILE_OR_LINE]

Every line ends in its SHA-256; every entry names the hash of the one before it in its stream; the last line tells
counts, heads, Merkle roots (RFC 6962; a leaf is an entry's hash) and checkpoints. A cut-off end and a log hashed anew are
found only with a checkpoint that was kept elsewhere: `deeds 1200 <root>`, as a line or in any text file (a report, an
earlier export). Prints one line; exit code 0: whole, 1: not. The gateway's own check shares no code with this one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import deque
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

LINE = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}\n')
CHECKPOINT = re.compile(r"\b(deeds|access) +([1-9][0-9]{0,17}) +([0-9a-f]{64})\b")
STREAMS = ("deeds", "access")


class Broken(Exception):  # noqa: N818  # a finding, not an error of this program
    """The export is not what was written; the text says where."""


class Chain:
    """One stream as far as it has been read: its size, last hash and the roots of its perfect subtrees."""

    def __init__(self) -> None:
        self.size, self.head, self.peaks = 0, "0" * 64, list[bytes]()

    def push(self, entry_hash: str) -> None:
        """Add an entry."""
        node, size = hashlib.sha256(b"\0" + bytes.fromhex(entry_hash)).digest(), self.size
        while size % 2:
            node, size = hashlib.sha256(b"\1" + self.peaks.pop() + node).digest(), size // 2
        self.peaks.append(node)
        self.size, self.head = self.size + 1, entry_hash

    def root(self) -> str:
        """The Merkle root over the entries so far."""
        node = self.peaks[-1] if self.peaks else hashlib.sha256().digest()
        for peak in self.peaks[-2::-1]:
            node = hashlib.sha256(b"\1" + peak + node).digest()
        return node.hex()


def read_line(number: int, line: bytes) -> dict[str, Any]:
    """Check a line against its own hash and read it."""
    found = LINE.fullmatch(line)
    if found is None or hashlib.sha256(found[1] + b"}").hexdigest().encode() != found[2]:
        raise Broken(f"строка {number} изменена или оборвана")
    return dict(json.loads(line))


def verify(file: BinaryIO, kept: list[tuple[str, str, str]]) -> str:
    """Check an export and tell what was checked. `kept`: stream, size and root of checkpoints from elsewhere."""
    number, last = (deque(enumerate(file, start=1), maxlen=1) or [(0, b"")])[-1]
    end = read_line(number, last)
    if set(end.get("streams", ())) != set(STREAMS):
        raise Broken("последней строки с итогами нет: конец выгрузки отрезан")
    own = [item for line in end["checkpoints"] for item in CHECKPOINT.findall(line)]
    wanted: dict[tuple[str, int], set[str]] = {}
    for stream, size, root in [*own, *kept]:
        wanted.setdefault((stream, int(size)), set()).add(root)
    chains, content, current = {stream: Chain() for stream in STREAMS}, hashlib.sha256(), 0
    file.seek(0)
    for place, line in enumerate(islice(file, number - 1), start=1):
        content.update(line)
        entry = read_line(place, line)
        stream = entry.get("stream")
        if stream not in chains or STREAMS.index(stream) < current:
            raise Broken(f"строка {place} не из этого потока")
        current, chain = STREAMS.index(stream), chains[stream]
        if (entry["seq"], entry["prev_hash"]) != (chain.size + 1, chain.head):
            raise Broken(f"строка {place} не продолжает предыдущую: запись удалена, вставлена или переставлена")
        chain.push(entry["hash"])
        for root in wanted.pop((stream, chain.size), ()):
            if root != chain.root():
                raise Broken(f"строка {place}: журнал до неё не тот, что в контрольной точке {stream} {chain.size}")
    for stream, size in wanted:  # what is left lies beyond the end
        raise Broken(f"записей {stream} {chains[stream].size}, а контрольная точка есть на {size}: конец отрезан")
    told = {name: (part["count"], part["head_hash"], part["root"]) for name, part in end["streams"].items()}
    if told != {name: (chain.size, chain.head, chain.root()) for name, chain in chains.items()}:
        raise Broken("итоги в последней строке не сходятся с записями")
    if end["lines_sha256"] != content.hexdigest():
        raise Broken("строки не те, по которым подведены итоги")
    counts = ", ".join(f"{name} {chain.size}" for name, chain in chains.items())
    return f"записей {counts}; контрольных точек сверено: своих {len(own)}, сохранённых отдельно {len(kept)}"


def main() -> int:
    """Check the file that the command line names, print one line, tell by the exit code."""
    parser = argparse.ArgumentParser(description="Verifies an export of the gateway's audit log.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--checkpoint", help="file with lines like 'deeds 1200 <root>', or such a line")
    options = parser.parse_args()
    try:
        kept = CHECKPOINT.findall(options.checkpoint or "")
        if options.checkpoint is not None and not kept:
            kept = CHECKPOINT.findall(Path(options.checkpoint).read_text(encoding="utf-8", errors="replace"))
            if not kept:
                raise Broken("в --checkpoint нет ни одной контрольной точки")
        with options.export.open("rb") as file:
            told, code = f"ЦЕЛ: {verify(file, kept)}", 0
    except (Broken, OSError, ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, Broken) else f"не читается ({type(error).__name__})"
        told, code = f"НАРУШЕН: {why}", 1
    sys.stdout.buffer.write(f"{told}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(main())
