"""How entries leave the database: one line of JSON each, the same bytes in an export and in the second sink.

A line is the canonical object that its hash covers, with the hash put at its end: whoever checks it hashes the very
bytes before `,"hash":` and needs no JSON rules for that. A mark closes a stretch: it says how far each stream has come.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.audit.chain import FORMAT, canonical, entry_hash

MARK_START = b'{"checkpoints":'
"""First bytes of a mark; an entry begins with `{"action":`."""

_LINE = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}', re.DOTALL)


class Head(msgspec.Struct, frozen=True):
    """How far a stream has come: entries, and the hash of the last."""

    count: int
    head_hash: str


class Entry(msgspec.Struct, frozen=True):
    """What a reader of lines needs of an entry."""

    stream: str
    seq: int
    epoch: int
    prev_hash: str
    hash: str


class Mark(msgspec.Struct, frozen=True):
    """A line that closes a stretch; `checkpoints` as `Checkpoint.line` spells them."""

    streams: dict[str, Head]
    checkpoints: list[str]


def build_line(fields: Mapping[str, Any]) -> bytes:
    """Spell an entry or mark that has its `hash`, newline included."""
    return canonical(fields)[:-1] + f',"hash":"{fields["hash"]}"}}\n'.encode()


def build_mark(streams: Mapping[str, Any], checkpoints: Iterable[str], **more: Any) -> bytes:
    """Spell a mark.

    Args:
        streams: By stream, what it has come to.
        checkpoints: Lines of `Checkpoint`.
        more: What else the mark says.
    """
    fields: dict[str, Any] = {"checkpoints": list(checkpoints), "format": FORMAT, "streams": dict(streams), **more}
    return build_line(fields | {"hash": entry_hash(fields)})


def is_whole(line: bytes) -> bool:
    """Whether the line, without its newline, is one that its hash covers."""
    found = _LINE.fullmatch(line)
    return found is not None and hashlib.sha256(found[1] + b"}").hexdigest().encode() == found[2]


def read_line(line: bytes) -> Entry | Mark:
    """Read a line, its hash not checked.

    Raises:
        ValueError: It is neither entry nor mark.
    """
    if line.startswith(MARK_START):
        return msgspec.json.decode(line, type=Mark)
    return msgspec.json.decode(line, type=Entry)
