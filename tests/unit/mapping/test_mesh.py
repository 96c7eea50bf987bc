"""What should stand in the city for one record, and each reason why nothing should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from gateway.domain.city import AbsenceIntent, CityMembership, HomeworkIntent, MarkIntent
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import REASONS
from gateway.mapping.mesh import GroupContext, Mapped, Modes, map_record
from gateway.mapping.rules import build_rules, everything_on, load_rules

ON = date(2026, 11, 10)


def test_a_mark_of_an_ordinary_lesson_is_sendable(make: Any) -> None:
    mapped = map_record(make.mark(), make.context())

    assert (mapped.state, mapped.reason, mapped.on, mapped.lesson_rule) == ("sendable", "", ON, "name_date")
    assert mapped.mode == Modes("automatic", "automatic", "approve")
    assert mapped.intent == MarkIntent(
        pupil_id=40,
        lesson_id=make.lessons()[1].id,
        group_id=7,
        subject_id=70,
        teacher_id=900,
        on=ON,
        value="4",
        weight=1,
        form_id=21,
        grade_system_id=31,
    )


def test_an_absence_is_sendable_with_the_plain_reason_whether_excused_or_not(make: Any) -> None:
    for form in ("absent", "excused"):
        mapped = map_record(make.absence(form=form), make.context())

        assert mapped.state == "sendable"
        assert mapped.intent == AbsenceIntent(
            pupil_id=40, lesson_id=make.lessons()[1].id, group_id=7, teacher_id=900, on=ON, reason_id=2
        )


def test_homework_goes_to_the_linked_pupils_of_the_group(make: Any) -> None:
    mapped = map_record(make.homework(), make.context())

    assert (mapped.state, mapped.on) == ("sendable", ON)
    assert mapped.intent == HomeworkIntent(
        group_id=7,
        subject_id=70,
        teacher_id=900,
        assigned_on=ON,
        prepared_for=date(2026, 11, 16),
        text="ДЗ №1\nУпражнения 1 и 2",
        pupil_ids=(40,),
    )


def unfinished(make: Any) -> dict[str, Any]:
    attempt = make.attempt(state="unfinished", finished_at=None, points=None)
    return {"attempts": {("quiz:1", "user:3"): (attempt,)}}


def without_teacher(make: Any) -> dict[str, Any]:
    lessons = tuple(make.changed(one, teacher_id=None) for one in make.lessons())
    return {"lessons": lessons, "city_group": make.city_group(teacher_ids=(1, 2))}


def cancelled(make: Any) -> dict[str, Any]:
    lessons = tuple(make.changed(one, is_cancelled=True) for one in make.lessons())
    return {"lessons": lessons, "chosen": {"cell:5/3": lessons[1].id}}


def left(make: Any, **membership: date | None) -> dict[str, Any]:
    return {"city_pupils": {40: make.pupil(memberships=(CityMembership(group_id=7, **membership),))}}


def rules_with(**tree: Any) -> dict[str, Any]:
    return {"rules": everything_on(build_rules(tree))}


Case = Callable[[Any], tuple[Any, dict[str, Any]]]
CASES: dict[str, tuple[str, str, Case]] = {
    "scope is not chosen": ("out_of_scope", "OUT_OF_SCOPE", lambda m: (m.mark(), {"rules": load_rules(None)})),
    "item by rule": (
        "out_of_scope",
        "OUT_OF_SCOPE",
        lambda m: (m.mark(module="attendance", item_form="mod", item_name="Посещаемость"), {}),
    ),
    "the value belongs to the city": (
        "out_of_scope",
        "OUT_OF_SCOPE",
        lambda m: (m.mark(), rules_with(fields={"mark.value": {"owner": "city"}})),
    ),
    "hidden": ("out_of_scope", "HIDDEN_AT_SOURCE", lambda m: (m.mark(is_hidden=True), {})),
    "unfinished": ("out_of_scope", "ATTEMPT_UNFINISHED", lambda m: (m.quiz_mark(), unfinished(m))),
    "late": ("cleared", "LATE_NOT_SENT", lambda m: (m.absence(form="late"), {})),
    "pupil without a link": ("waiting", "NOT_LINKED", lambda m: (m.mark(), {"pupils": {}})),
    "pupil with several candidates": (
        "waiting",
        "AMBIGUOUS_LINK",
        lambda m: (m.absence(), {"pupils": {}, "pupils_waiting": {"user:3": "AMBIGUOUS_LINK"}}),
    ),
    "pupil who lost his link": (
        "waiting",
        "LINK_LOST",
        lambda m: (m.mark(), {"pupils_waiting": {"user:3": "LINK_LOST"}}),
    ),
    "absence of a lesson without a link": ("waiting", "LESSON_NOT_LINKED", lambda m: (m.absence(lesson="x"), {})),
    "chosen lesson gone from the timetable": (
        "waiting",
        "LESSON_NOT_LINKED",
        lambda m: (m.mark(), {"chosen": {"cell:5/3": 1}}),
    ),
    "homework for nobody": ("waiting", "NOT_LINKED", lambda m: (m.homework(pupils=("user:99",)), {})),
    "no lesson": ("rejected", "NO_LESSON", lambda m: (m.mark(item_name="Работа на уроке"), {})),
    "future work": ("held", "LESSON_NOT_YET", lambda m: (m.mark(item_name="Урок 25.11.2026"), {})),
    "future lesson of an absence": (
        "held",
        "LESSON_NOT_YET",
        lambda m: (m.absence(lesson="future"), {"lesson_links": {"future": m.lessons()[7].id}}),
    ),
    "future homework": (
        "held",
        "LESSON_NOT_YET",
        lambda m: (m.homework(assigned_on=date(2026, 11, 24), prepared_for=date(2026, 11, 25)), {}),
    ),
    "chosen lesson cancelled since": ("held", "LESSON_CANCELLED", lambda m: (m.mark(), cancelled(m))),
    "absence on a cancelled lesson": ("held", "LESSON_CANCELLED", lambda m: (m.absence(), cancelled(m))),
    "item of unknown form": ("rejected", "NO_CONTROL_FORM", lambda m: (m.mark(item_name="Поведение 10.11"), {})),
    "form not in the city": ("rejected", "NO_CONTROL_FORM", lambda m: (m.mark(), {"forms": ()})),
    "points out of range": ("rejected", "VALUE_OUT_OF_RANGE", lambda m: (m.mark(raw_points=1.0), {})),
    "pupil came later": ("rejected", "NOT_IN_GROUP", lambda m: (m.mark(), left(m, begins_on=date(2026, 11, 11)))),
    "pupil left before": ("rejected", "NOT_IN_GROUP", lambda m: (m.absence(), left(m, ends_on=date(2026, 11, 9)))),
    "pupil gone from the city": ("rejected", "NOT_IN_GROUP", lambda m: (m.mark(), {"city_pupils": {}})),
    "mark without a teacher": ("rejected", "NO_TEACHER", lambda m: (m.mark(), without_teacher(m))),
    "homework without a teacher": ("rejected", "NO_TEACHER", lambda m: (m.homework(), without_teacher(m))),
    "period closed": ("held", "WINDOW_CLOSED", lambda m: (m.mark(), {"periods": m.periods(is_closed=True)})),
    "edit window over": (
        "held",
        "WINDOW_EDIT_OVER",
        lambda m: (m.homework(), {"periods": m.periods(edit_until_on=date(2026, 11, 22))}),
    ),
    "homework due before it is set": (
        "rejected",
        "VALIDATION_LOCAL",
        lambda m: (m.homework(prepared_for=date(2026, 11, 9)), {}),
    ),
    "homework without a text": ("rejected", "VALIDATION_LOCAL", lambda m: (m.homework(title=" ", text=""), {})),
}


@pytest.mark.parametrize("name", CASES)
def test_each_reason_is_reached(make: Any, name: str) -> None:
    state, reason, case = CASES[name]
    record, changes = case(make)

    mapped = map_record(record, make.context(**changes))

    assert (mapped.state, mapped.reason) == (state, reason)
    assert (mapped.ref, mapped.kind) == (record.ref, record.kind)


def test_every_reason_mapping_gives_is_in_the_table_under_its_state() -> None:
    for state, reason, _ in CASES.values():
        assert REASONS[reason].category == ("out_of_scope" if state == "cleared" else state)


@pytest.mark.parametrize("name", ["period closed", "edit window over", "chosen lesson cancelled since"])
def test_a_record_held_by_a_window_still_says_what_should_stand(make: Any, name: str) -> None:
    _, _, case = CASES[name]
    record, changes = case(make)

    assert map_record(record, make.context(**changes)).intent is not None


@pytest.mark.parametrize("name", ["future work", "future lesson of an absence", "future homework"])
def test_what_waits_for_its_lesson_says_from_which_day(make: Any, name: str) -> None:
    _, _, case = CASES[name]
    record, changes = case(make)

    due_on = map_record(record, make.context(**changes)).due_on

    assert due_on is not None
    assert due_on > date(2026, 11, 23)


def test_an_edit_window_is_open_on_its_last_day(make: Any) -> None:
    context = make.context(periods=make.periods(edit_until_on=date(2026, 11, 23)))

    assert map_record(make.mark(), context).state == "sendable"


def intent_of(make: Any, record: Any, **changes: Any) -> Any:
    mapped = map_record(record, make.context(**changes))
    assert mapped.state == "sendable", mapped
    return mapped.intent


def test_a_lesson_chosen_earlier_is_never_moved_by_a_correction(make: Any) -> None:
    lessons = make.lessons()
    mapped = map_record(
        make.mark(item_name="Урок 12.11.2026: работа на уроке"), make.context(chosen={"cell:5/3": lessons[1].id})
    )

    assert isinstance(mapped.intent, MarkIntent)
    assert (mapped.intent.lesson_id, mapped.on, mapped.lesson_rule) == (lessons[1].id, ON, "chosen")


def test_a_teachers_override_stands_although_no_attempt_is_finished(make: Any) -> None:
    mark = make.quiz_mark(is_overridden=True, closes_at=datetime(2026, 11, 10, 9, 0, tzinfo=UTC))

    assert intent_of(make, mark, **unfinished(make)).value == "4"


def test_only_the_own_attempts_of_the_pupil_count(make: Any) -> None:
    attempts = {("quiz:1", "user:3"): (make.attempt(),), ("quiz:1", "user:4"): unfinished(make)["attempts"]}

    assert intent_of(make, make.quiz_mark(), attempts=attempts).on == date(2026, 11, 11)


def test_the_replacement_writes_before_the_lessons_teacher(make: Any) -> None:
    lessons = tuple(make.changed(one, replacement_teacher_id=901) for one in make.lessons())

    for record in (make.mark(), make.absence(), make.homework()):
        assert intent_of(make, record, lessons=lessons).teacher_id == 901


def test_the_groups_only_teacher_stands_in_where_the_lesson_names_none(make: Any) -> None:
    lessons = tuple(make.changed(one, teacher_id=None) for one in make.lessons())

    assert intent_of(make, make.mark(), lessons=lessons).teacher_id == 900


def test_the_weight_is_the_forms_unless_an_item_row_says_another(make: Any) -> None:
    items = [{"form": "Работа на уроке", "weight": 3}]

    assert intent_of(make, make.mark(), forms=(make.form("Работа на уроке", weight=2),)).weight == 2
    assert intent_of(make, make.mark(), **rules_with(items=items)).weight == 3


def test_a_weight_that_belongs_to_the_city_is_the_forms_own(make: Any) -> None:
    tree = {"items": [{"form": "Работа на уроке", "weight": 3}], "fields": {"mark.weight": {"owner": "city"}}}

    assert intent_of(make, make.mark(), **rules_with(**tree)).weight == 1


def test_a_value_written_only_if_empty_may_be_created_and_not_changed(make: Any) -> None:
    rules = rules_with(fields={"mark.value": {"strength": "only_if_empty"}})

    assert map_record(make.mark(), make.context(**rules)).mode == Modes("automatic", "off", "approve")
    assert map_record(make.absence(), make.context(**rules)).mode == Modes("automatic", "automatic", "approve")


@pytest.mark.parametrize("change", [{"is_deleted": True}, {"subject_id": 71}, {"level": 3}, {"name": "Работа дома"}])
def test_a_form_counts_only_with_its_own_subject_and_level(make: Any, change: dict[str, Any]) -> None:
    form = make.changed(make.form("Работа на уроке"), **change)

    assert map_record(make.mark(), make.context(forms=(form,))).reason == "NO_CONTROL_FORM"


def test_of_forms_of_one_name_the_five_point_one_counts_and_two_of_those_are_no_answer(make: Any) -> None:
    ten = make.form("работа на уроке", id=1, grade_system="ten")
    five = make.form("Работа на уроке", id=2)

    assert intent_of(make, make.mark(), forms=(ten, five)).form_id == 2
    context = make.context(forms=(five, make.changed(five, id=3)))
    assert map_record(make.mark(), context).reason == "NO_CONTROL_FORM"


def test_the_forms_dictionary_names_the_citys_form(make: Any) -> None:
    rules = rules_with(forms={"работа на уроке": "Ответ на уроке"})

    assert intent_of(make, make.mark(), forms=(make.form("Ответ на уроке", id=77),), **rules).form_id == 77


@pytest.mark.row("E6")
def test_a_class_row_applies_to_the_pupils_of_a_metagroup(make: Any) -> None:
    rules = build_rules({"scope": [{}, {"class_name": "7А", "direction": "off"}]})
    context = make.context(rules=rules, class_name=None, city_group=make.city_group(class_name=None, is_metagroup=True))

    assert map_record(make.mark(), context).reason == "OUT_OF_SCOPE"


@pytest.mark.parametrize("subject", ["Алгебра, 7 класс", "алгебра"])
def test_a_scope_row_may_name_the_subject_of_either_side(make: Any, subject: str) -> None:
    rules = build_rules({"scope": [{"subject": subject}]})

    assert map_record(make.mark(), make.context(rules=rules)).state == "sendable"


def test_a_pupil_listed_in_the_group_without_dates_is_a_member(make: Any) -> None:
    pupil = make.pupil(memberships=())

    assert intent_of(make, make.mark(), city_pupils={40: pupil}).pupil_id == 40


def test_the_class_counts_only_where_the_city_lists_no_members_at_all(make: Any) -> None:
    pupil = make.pupil(memberships=())
    nobody = make.city_group(pupil_ids=())

    assert intent_of(make, make.mark(), city_pupils={40: pupil}, city_group=nobody).pupil_id == 40
    for group in (make.city_group(pupil_ids=(41,)), make.city_group(pupil_ids=(), is_subgroup=True)):
        context = make.context(city_pupils={40: pupil}, city_group=group)
        assert map_record(make.mark(), context).reason == "NOT_IN_GROUP"


@pytest.mark.row("E6")
def test_a_pupil_who_came_back_is_a_member_in_both_spells_and_not_between(make: Any) -> None:
    spells = (
        CityMembership(group_id=7, ends_on=date(2026, 11, 9)),
        CityMembership(group_id=7, begins_on=date(2026, 11, 12)),
    )
    context = make.context(city_pupils={40: make.pupil(memberships=spells)})
    states = [
        map_record(make.mark(item_name=f"Урок {day}.11.2026"), context).reason for day in ("09", "10", "11", "12")
    ]

    assert states == ["", "NOT_IN_GROUP", "NOT_IN_GROUP", ""]


def test_homework_goes_to_members_of_its_day_only_in_order_and_once(make: Any) -> None:
    member = (CityMembership(group_id=7),)
    city_pupils = {
        43: make.pupil(id=43, memberships=member),
        41: make.pupil(id=41, memberships=member),
        42: make.pupil(id=42, memberships=(CityMembership(group_id=7, begins_on=date(2026, 11, 11)),)),
    }
    pupils = {"user:1": 43, "user:2": 41, "user:3": 42, "user:4": 44}
    context: dict[str, Any] = {"pupils": pupils, "city_pupils": city_pupils}

    assert intent_of(make, make.homework(), **context).pupil_ids == (41, 43)
    assert intent_of(make, make.homework(pupils=("user:1", "user:1", "user:9")), **context).pupil_ids == (43,)


@pytest.mark.parametrize(
    ("title", "text", "shown"),
    [("ДЗ №1", "", "ДЗ №1"), ("ДЗ №1", " дз №1 ", "ДЗ №1"), ("", "Упр. 1", "Упр. 1"), ("А", "Б\r\nВ ", "А\nБ\nВ")],
)
def test_a_homeworks_title_is_not_said_twice(make: Any, title: str, text: str, shown: str) -> None:
    assert intent_of(make, make.homework(title=title, text=text)).text == shown


def test_lessons_of_another_group_and_periods_of_another_schedule_do_not_count(make: Any) -> None:
    lessons = tuple(make.changed(one, group_id=8) for one in make.lessons())
    periods = make.periods(is_closed=True, schedule_id=2)

    assert map_record(make.mark(), make.context(lessons=lessons)).reason == "NO_LESSON"
    assert map_record(make.mark(), make.context(periods=periods)).state == "sendable"


def test_the_recordings_marks_hang_on_their_own_days(make: Any) -> None:
    marks = [make.mark(item_name=f"Урок {day}.11.2026: работа на уроке") for day in (10, 11, 12)]

    days = [map_record(mark, make.context()).on for mark in marks]

    assert days == [date(2026, 11, day) for day in (10, 11, 12)]


def test_a_context_indexes_the_lessons_it_is_given(make: Any) -> None:
    context: GroupContext = make.context()
    moved = msgspec.structs.replace(context, lessons=())

    assert moved.timetable.by_id == {}
    assert isinstance(map_record(make.absence(), moved), Mapped)
    assert map_record(make.absence(), moved).kind is Kind.ABSENCE
