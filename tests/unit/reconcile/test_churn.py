"""The directory against its last read: many new ids, and many children in another class on a day when none is moved."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityPupil, CityYear
from gateway.reconcile.churn import Churn, ChurnLimits, find_churn, is_in_spans, judge_churn, parse_span

NOVEMBER, SEPTEMBER = date(2026, 11, 20), date(2026, 9, 1)
LIMITS = ChurnLimits(
    minimum_count=5, identity_ratio=0.1, transfer_count=3, transfer_spans=(parse_span("08-15..09-15"),)
)
NOTHING = Churn(pupils=100, new_pupil_ids=0, groups=10, new_group_ids=0, transfers={})


def pupil(number: int, *, class_name: str = "7А", shift: int = 0, is_active: bool = True) -> CityPupil:
    return CityPupil(
        id=number + shift, person_id=f"p{number}", last_name=None, first_name=None, middle_name=None, birth_on=None,
        class_id=1, class_name=class_name, is_active=is_active,
    )  # fmt: skip


def group(number: int, name: str) -> CityGroup:
    return CityGroup(
        id=number, name=name, subject_id=1, subject_name="Алгебра", class_ids=(1,), class_name="7А", level=7,
        schedule_id=9, teacher_ids=(),
    )  # fmt: skip


def directory(pupils: list[CityPupil], groups: list[CityGroup] | None = None) -> CityDirectory:
    year = CityYear(id=1, name="2026/27", is_current=True, begins_on=SEPTEMBER, ends_on=date(2027, 8, 31))
    return CityDirectory(
        year=year, periods=(), classes=(), subjects=(), groups=tuple(groups or ()), teachers=(), pupils=tuple(pupils),
        forms=(),
    )  # fmt: skip


def test_only_what_both_reads_have_is_compared() -> None:
    before = directory(
        [*(pupil(number) for number in range(6)), pupil(50), pupil(60, is_active=False)],
        [group(1, "а"), group(2, "б"), group(3, "дважды"), group(4, "дважды")],
    )
    after = directory(
        [
            *(pupil(number, shift=1000) for number in range(2)),
            *(pupil(number, class_name="7-Б") for number in range(2, 5)),
            pupil(5, class_name="7 а"),
            pupil(70),
            pupil(60, shift=5),
        ],
        [group(1, "а"), group(20, "б"), group(30, "дважды"), group(40, "дважды"), group(5, "новая")],
    )

    found = find_churn(before, after)

    assert (found.pupils, found.new_pupil_ids) == (6, 2)
    assert (found.groups, found.new_group_ids) == (2, 1)
    assert dict(found.transfers) == {"7Б": 3}


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ({"new_pupil_ids": 5, "pupils": 20}, []),
        ({"new_pupil_ids": 6, "pupils": 60}, []),
        ({"new_pupil_ids": 7, "pupils": 60}, ["identity_churn person|*"]),
        ({"new_group_ids": 9}, ["identity_churn group|*"]),
        ({"transfers": {"7Б": 3}}, []),
        ({"transfers": {"7А": 1, "7Б": 4}}, ["class_transfer person|7Б"]),
    ],
)
def test_only_what_is_beyond_a_limit_has_a_row(more: dict[str, object], rows: list[str]) -> None:
    churn = msgspec.structs.replace(NOTHING, **more)

    assert [f"{row.guard} {row.scope}" for row in judge_churn(churn, LIMITS, today=NOVEMBER)] == rows
    assert all(row.verdict == "hold" for row in judge_churn(churn, LIMITS, today=NOVEMBER))


def test_while_classes_are_made_up_transfers_are_not_judged_and_ids_are() -> None:
    churn = msgspec.structs.replace(NOTHING, new_pupil_ids=50, transfers={"7Б": 40})

    assert [row.guard for row in judge_churn(churn, LIMITS, today=SEPTEMBER)] == ["identity_churn"]


def test_a_span_may_go_over_the_new_year_and_what_is_none_is_refused() -> None:
    winter = (parse_span("12-28..01-09"),)

    assert [is_in_spans(date(2026, *day), winter) for day in ((12, 28), (1, 9), (1, 10), (12, 27))] == [
        True,
        True,
        False,
        False,
    ]
    for wrong in ("12-32..01-01", "сентябрь", "09-01"):
        with pytest.raises(ValueError, match="MM-DD"):
            parse_span(wrong)


@given(st.lists(st.integers(0, 40), unique=True, max_size=30), st.integers(1, 9))
def test_a_directory_read_twice_has_not_changed(numbers: list[int], shift: int) -> None:
    same = directory([pupil(number) for number in numbers])
    moved = directory([pupil(number, shift=1000 * shift) for number in numbers])

    assert find_churn(same, same).new_pupil_ids == 0
    assert find_churn(same, moved).new_pupil_ids == len(numbers)
