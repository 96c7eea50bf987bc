"""Whether a school's pattern could hold a process for minutes on one name: asked of every new row before it is a draft.

Pure. The library's search tries every way in which a pattern may match, and nothing can interrupt it: `(а+)+$` on forty
letters takes years, inside whatever request or run looks at a record first. A draft may be anybody's who proposes rules.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

# The library's own parse tree is the only one that says what its search will do; it is not public and has no stubs.
_PARSER: Any = importlib.import_module("re._parser")

WIDE_COUNT = 3
"""Repeats without a near end that one pattern may have: each multiplies the work by the length of the name."""
WIDE_FROM = 20
"""A repeat of up to so many is no wide one."""
LONGEST = 300
"""Characters of a pattern: a name has no more."""
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})


def find_costly(pattern: str) -> str | None:
    """Say in Russian why a pattern is too costly to try on every name; None where it is not.

    Args:
        pattern: One that compiles.
    """
    if len(pattern) > LONGEST:
        return f"длиннее {LONGEST} знаков"
    wide = 0
    for is_wide, is_nested in _iter_repeats(_PARSER.parse(pattern), is_inside=False):
        if is_nested:
            return "повторение внутри повторения: на длинном названии такой поиск не кончится"
        wide += is_wide
    return None if wide <= WIDE_COUNT else f"повторений * и + больше {WIDE_COUNT}: назовите предел, {{0,5}}"


def _iter_repeats(tree: Iterable[tuple[Any, Any]], *, is_inside: bool) -> Iterable[tuple[bool, bool]]:
    """Yield (is wide, is a choice within a repeat) for everything that can be matched in several ways."""
    for op, argument in tree:
        name = str(op)
        if name in _REPEATS:
            least, most, body = argument
            is_choice = int(least) != int(most)
            yield is_choice and int(most) > WIDE_FROM, is_choice and is_inside
            yield from _iter_repeats(body, is_inside=is_inside or int(most) > 1)
        elif name == "BRANCH":
            if is_inside:
                yield False, True
            for one in argument[1]:
                yield from _iter_repeats(one, is_inside=is_inside)
        elif name == "SUBPATTERN":
            yield from _iter_repeats(argument[3], is_inside=is_inside)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _iter_repeats(argument[1], is_inside=is_inside)
        elif name == "GROUPREF_EXISTS":
            yield from (found for one in argument[1:] if one for found in _iter_repeats(one, is_inside=is_inside))


__all__ = ["LONGEST", "WIDE_COUNT", "find_costly"]
