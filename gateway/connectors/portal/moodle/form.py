"""Arguments as PHP wants them: nested values flattened to `options[0][name]=…`, booleans as 1 and 0.

Source: portal-and-planner.md §a.0 [M].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Argument = int | str | bool | Sequence["Argument"] | Mapping[str, "Argument"]


def iter_form(arguments: Mapping[str, Argument]) -> Iterator[tuple[str, str]]:
    """Yield form pairs; an empty list yields none, which is how PHP spells an empty array."""
    for name, value in arguments.items():
        yield from _flatten(name, value)


def _flatten(name: str, value: Argument) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool):
        yield name, "1" if value else "0"
    elif isinstance(value, int | str):
        yield name, str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(f"{name}[{key}]", inner)
    else:
        for place, inner in enumerate(value):
            yield from _flatten(f"{name}[{place}]", inner)
