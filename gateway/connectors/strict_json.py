"""Reads a foreign JSON document strictly, before any wire model sees it.

Stands between the bytes of an `Answer` and the wire models: what two readers could read differently (repeated keys,
NaN, absurd numbers) is refused instead of guessed.
"""

from __future__ import annotations

import json
from typing import Never

MAX_NESTING_COUNT = 64  # no journal or portal nests deeper than ten; the interpreter's own limit must not be the brake
MAX_DIGITS_COUNT = 20  # int64 with its sign; longer ones are a fault and quadratic to convert


def parse_json(body: bytes) -> object:
    """Read a JSON document strictly: UTF-8, no NaN, no repeated keys, no absurd depth or numbers.

    Raises:
        ValueError: Not such a document; the text repeats nothing of it.

    Source: reliability.md A25.
    """
    try:
        tree: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
        )
    except (ValueError, RecursionError):
        raise ValueError("not a JSON document") from None
    if _is_deeper_than(tree, MAX_NESTING_COUNT):
        raise ValueError("JSON nested too deep")
    return tree


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated key")
    return found


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS_COUNT:
        raise ValueError("number too long")
    return int(digits)


def _is_deeper_than(tree: object, limit: int) -> bool:
    level: list[object] = [tree]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, list | dict)
            for child in (node if isinstance(node, list) else node.values())
            if isinstance(child, list | dict)
        ]
        if not level:
            return False
    return True
