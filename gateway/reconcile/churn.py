"""What must not change by itself between two whole reads of the city's directory: its ids, and who is in which class.

Pure. Many city ids that changed at once are another export, another school or another year, and what is planned upon them
would be made anew beside what stands. Many pupils of one class who change it outside of the days on which a school moves
classes are a slip in somebody's list.

Source: design, "Guards": identity churn, class transfer outside its window (product.md N5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import TypeVar

import msgspec

from gateway.connectors.port import CityDirectory
from gateway.mapping.normalise import class_key
from gateway.reconcile.guard import GuardRow

IDENTITY = "identity_churn"
TRANSFER = "class_transfer"
OF_DIRECTORY = (IDENTITY, TRANSFER)
"""Guards that compare two reads of the directory: a later read can't see it any more, so their rows are carried on."""
HELD_OPS = ("create", "change")
K = TypeVar("K")
Span = tuple[tuple[int, int], tuple[int, int]]
"""First and last (month, day), both included; a span may go over the new year."""


class ChurnLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers from the settings group `school`.

    Attributes:
        minimum_count: The share of changed ids bites only above so many.
        identity_ratio: Largest share of pupils, or of groups, whose city id may be another than at the last read.
        transfer_count: Most pupils who may come into one class from others between two reads.
        transfer_spans: Days of each year on which transfers are not judged.
    """

    minimum_count: int
    identity_ratio: float
    transfer_count: int
    transfer_spans: tuple[Span, ...]


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """What changed of what both reads have.

    Attributes:
        pupils: Pupils in both, by the contingent's id; `new_pupil_ids` of them have another city id.
        groups: Groups in both, by name, subject and class, where that names one; `new_group_ids` likewise.
        transfers: Class → pupils who were in another class before.
    """

    pupils: int
    new_pupil_ids: int
    groups: int
    new_group_ids: int
    transfers: Mapping[str, int]


def find_churn(before: CityDirectory, after: CityDirectory) -> Churn:
    """Compare two whole reads of one place's directory."""
    were = _single((pupil.person_id, pupil) for pupil in before.pupils if pupil.person_id and pupil.is_active)
    are = _single((pupil.person_id, pupil) for pupil in after.pupils if pupil.person_id and pupil.is_active)
    both = were.keys() & are.keys()
    transfers: Counter[str] = Counter()
    for person in both:
        was, now = class_key(were[person].class_name), class_key(are[person].class_name)
        if was and now and was != now:
            transfers[now] += 1
    old = _single(((one.name, one.subject_name, one.class_name), one.id) for one in before.groups)
    new = _single(((one.name, one.subject_name, one.class_name), one.id) for one in after.groups)
    groups = old.keys() & new.keys()
    return Churn(
        pupils=len(both),
        new_pupil_ids=sum(were[person].id != are[person].id for person in both),
        groups=len(groups),
        new_group_ids=sum(old[key] != new[key] for key in groups),
        transfers=dict(sorted(transfers.items())),
    )


def judge_churn(churn: Churn, limits: ChurnLimits, *, today: date) -> list[GuardRow]:
    """Judge it; only what is beyond a limit has a row."""
    rows = [
        GuardRow(
            guard=IDENTITY,
            scope=f"{kind}|*",
            limit=f"{limits.identity_ratio:.0%} при более {limits.minimum_count}",
            actual=f"{changed} из {known}",
            verdict="hold",
            override="deputy_head",
        )
        for kind, changed, known in (
            ("person", churn.new_pupil_ids, churn.pupils),
            ("group", churn.new_group_ids, churn.groups),
        )
        if changed > limits.minimum_count and changed > known * limits.identity_ratio
    ]
    if is_in_spans(today, limits.transfer_spans):
        return rows
    return rows + [
        GuardRow(
            guard=TRANSFER,
            scope=f"person|{class_name}",
            limit=f"не больше {limits.transfer_count}",
            actual=str(count),
            verdict="hold",
            override="deputy_head",
        )
        for class_name, count in churn.transfers.items()
        if count > limits.transfer_count
    ]


def is_in_spans(today: date, spans: Collection[Span]) -> bool:
    """Whether a day of the year lies in one of the spans."""
    day = (today.month, today.day)
    return any(first <= day <= last if first <= last else day >= first or day <= last for first, last in spans)


def parse_span(text: str) -> Span:
    """Read `08-20..09-10`.

    Raises:
        ValueError: It is none.
    """
    first, _, last = text.partition("..")
    try:
        return _day(first), _day(last)
    except ValueError as exc:
        raise ValueError("days are written MM-DD..MM-DD") from exc


def _day(text: str) -> tuple[int, int]:
    day = date.fromisoformat(f"2024-{text}")  # a leap year, so that 02-29 is a day
    return day.month, day.day


V = TypeVar("V")


def _single(pairs: Iterable[tuple[K, V]]) -> dict[K, V]:
    """Only keys that name one thing."""
    found: dict[K, V] = {}
    twice: set[K] = set()
    for key, value in pairs:
        if key in found:
            twice.add(key)
        found[key] = value
    return {key: value for key, value in found.items() if key not in twice}


__all__ = [
    "HELD_OPS",
    "IDENTITY",
    "OF_DIRECTORY",
    "TRANSFER",
    "Churn",
    "ChurnLimits",
    "Span",
    "find_churn",
    "is_in_spans",
    "judge_churn",
    "parse_span",
]
