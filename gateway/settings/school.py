"""Settings of the school: its days, its guards, its people who approve."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AliasChoices,
    Field,
    field_validator,
    model_validator,
)

from gateway.settings.group import Group


class DaySpan(Group):
    from_on: date = Field(validation_alias=AliasChoices("from", "from_on"))
    """First day, `2026-08-25`; `from` in the file."""
    to_on: date = Field(validation_alias=AliasChoices("to", "to_on"))
    """Last day, included; `to` in the file."""

    @model_validator(mode="after")
    def _in_order(self) -> DaySpan:
        if self.to_on < self.from_on:
            raise ValueError("«to» раньше, чем «from»")
        return self


class SchoolSettings(Group):
    timezone: str = "Europe/Moscow"
    """Zone of the school's days."""
    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = Field(default=(1, 2, 3, 4, 5), min_length=1)
    """Working days, Monday is 1. Five of them; a school with lessons on Saturday adds 6."""
    holidays: tuple[DaySpan, ...] = ()
    """`[[school.holidays]]` with `from` and `to`: days that are no working days. The city's calendar can't be read before its year begins."""
    held_until_hour: int = Field(default=12, ge=0, le=23)
    """What a guard holds waits until this hour of the next working day and is decided afresh then: a morning for the deputy head to look."""
    discrepancy_due_days: int = Field(default=2, ge=0, le=60)
    """Working days in which an opened discrepancy should be settled; then it is overdue. Two: seen on one day, asked about on the next."""
    year: str | None = None
    """School year in every key, `2026/27`; None = that of the day. Fixed only where the past is worked on (the demo)."""
    mapping_file: Path | None = None
    """TOML with dictionaries and rules that the school edits; None = `mapping.toml` beside the configuration."""
    empty_source_ratio: float = Field(default=0.5, ge=0, le=1)
    """A scope whose source shrank below this share of its base is refused as short."""
    guard_minimum_count: int = Field(default=5, ge=0)
    """Shares bite only above this many operations."""
    guard_change_ratio: float = Field(default=0.75, ge=0, le=1)
    """Largest share of a scope's base that may change in one plan (Clever holds above 75 %)."""
    guard_delete_ratio: float = Field(default=0.10, ge=0, le=1)
    """Largest share that may be deleted, on top of every delete being held for approval (Clever holds above 10 %)."""
    delete_grace_hours: float = Field(default=20.0, ge=0)
    """How long a value must have been missing, on top of two complete reads, before its delete is proposed. 20: a slip is mended at the next day's lessons, and the night after them may propose it."""
    guard_lanes: Literal["show", "hold"] = "show"
    """What the guards over a whole plan do (a kind in a class, a kind in the school, ended periods, averages): show a row, or hold their lane as well. Shown by default, because a first term's limits are guesses: `gateway guards try` says what they would have held."""
    guard_create_ratio: float = Field(default=1.0, ge=0)
    """Largest growth of a kind in a class, as a share of what stands: a class's journal that doubles in a night is a mistake in a mapping more often than a teacher's work."""
    guard_first_count: int = Field(default=20_000, ge=0)
    """Most operations of a kind in the first load of a class or the school; a school of 1 000 has about so many marks a term."""
    guard_change_count: int = Field(default=500, ge=0)
    """Most changes of a kind in a class or the school in one plan, whatever their share (Entra holds above 500)."""
    guard_delete_count: int = Field(default=50, ge=0)
    """Most deletes of a kind in a class or the school in one plan, whatever their share; a class has about so many marks a week."""
    guard_past_count: int = Field(default=0, ge=0)
    """Most changes and deletes dated in a marking period that has ended: period marks were given by them."""
    guard_average_shift: float = Field(default=0.3, gt=0)
    """Largest move of a class's average in a subject by changes and deletes, in marks: a third of a mark for thirty pupils at once."""
    guard_period_mark_count: int = Field(default=0, ge=0)
    """Most pupils of a class whose period mark in a subject (weighted mean, rounded) changes and deletes would move: any such pupil is looked at by default."""
    guard_average_marks: int = Field(default=30, ge=1)
    """Averages and period marks are not judged until a class has so many delivered marks in the subject: one mark moves few of them far."""
    guard_identity_ratio: float = Field(default=0.1, ge=0, le=1)
    """Largest share of pupils, or of groups, whose id in the city may be another than at the last whole read; above `guard_minimum_count`. Ids change one by one, all at once only by a mistake."""
    guard_transfer_count: int = Field(default=5, ge=0)
    """Most pupils who may come into one class from others between two reads; children move one by one."""
    guard_transfer_days: tuple[str, ...] = ("08-15..09-15", "05-25..06-30")
    """Days of each year, `MM-DD..MM-DD`, on which transfers between classes are not judged: classes are made up then."""
    guard_round_up_from: float = Field(default=0.5, gt=0, lt=1)
    """Fraction from which a pupil's mean is rounded up to count whose mark would change; the city's schools set their own."""
    precedent_count: int = Field(default=5, ge=2)
    """From how many equal choices on discrepancies of one pattern a rule is offered; five is a week of one teacher's."""
    backtest_fresh_hours: float = Field(default=24.0, gt=0)
    """How old the back-test of a version of the rules, or of a rule from precedents, may be when it is put in force: the marks of one day."""
    plan_ttl_hours: float = Field(default=18.0, gt=0)
    """How long a plan may be approved: from the night till the end of the working day."""
    signed_approval_hours: float = Field(default=24.0, gt=0)
    """How long a one-time approval lets named pupils' records into a signed period, in hours: the night after it and the next day's retries."""
    single_approver: bool = False
    """The school has one person who approves: he confirms his own proposal later, after logging in again, and the audit says that it was he alone."""
    days_back: int = Field(default=400, ge=0)
    """How far back a run without dates looks, in days; the school year's start bounds it."""

    @field_validator("guard_transfer_days")
    @classmethod
    def _spans(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            first, dots, last = one.partition("..")
            if not dots:
                raise ValueError("дни пишутся MM-DD..MM-DD")
            for day in (first, last):
                date.fromisoformat(f"2024-{day}")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("такого часового пояса нет, а есть, например, Europe/Moscow") from exc
        return value


__all__ = ["DaySpan", "SchoolSettings"]
