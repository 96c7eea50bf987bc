"""The full cycle without a token: export, plan, list, a person types, next export, everything proven."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from gateway.domain.identifiers import Kind
from gateway.flows.hand_list import FOLDER, load_hand_list
from gateway.mapping.links import confirm
from gateway.report.hand_list import HandLine, to_text
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.sandbox.remote import save_export

COURSE, ITEM, LATE_PUPIL = 2, 900, 1001
MAPPING = "\n".join(
    [
        "finals_before_days = 60",
        *(
            f'[[scope]]\nkind = "{kind}"\ncreate = "automatic"\nchange = "automatic"\ndelete = "approve"'
            for kind in ("*", "comment", "final", "topics")
        ),
    ]
)


def prepare(portal: Any) -> None:
    """Something of every kind: a column of the second quarter, an absence, a lateness, topics."""
    rows = portal.sandbox.book.course(COURSE)
    for userid, row in rows.grades.items():
        manual = next(one for one in row["gradeitems"] if one["itemtype"] == "manual")
        column = {"id": ITEM, "itemname": "Итог", "idnumber": "q2", "graderaw": float(3 + userid % 3)}
        row["gradeitems"].append({**manual, **column, "gradedategraded": 1795000000})
    for sessions in rows.sessions.values():
        for number, session in enumerate(sessions, start=1):
            session["description"] = f"Тема урока {number}"
            for user in [one["studentid"] for one in session["attendance_log"]]:
                acronym = "P" if session is not sessions[-1] else "L" if user == LATE_PUPIL else "A"
                fields = {"courseid": COURSE, "sessionid": session["id"], "userid": user}
                portal.edit("set_attendance", acronym=acronym, **fields)


class School:
    """A school without a token: its folder of exports, and the person who types."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.world = world
        self.folder = folder
        mapping = world.folder / "mapping.toml"
        mapping.write_text(MAPPING, encoding="utf-8")
        world.settings_changes |= {
            "school": {"mapping_file": mapping},
            "mesh": {"kind": "file", "folder": folder, "school_id": 586},
            "portal": {
                "base_url": world.portal.base_url,
                "token": DEFAULT_TOKEN,
                "has_topics": True,
                "finals": [{"match": "number", "pattern": "^q2$", "period": "2"}],
            },
        }

    def export(self) -> None:
        """A person exports the journals anew, a minute later, over the files of last time."""
        self.world.clock.advance(60)
        save_export(self.world.city.base_url, self.folder)
        self.world.clock.advance(60)

    def link_everybody(self, hand: Any) -> None:
        """Confirm the office's list; the ids are those the export gives."""
        directory = hand.gateway.city.fetch_directory(hand.want.from_on)
        ids = {one.person_id: one.id for one in directory.pupils}
        with hand.gateway.store.write() as conn:
            place_id = hand.gateway.place_id(conn)
            now = hand.gateway.store.now(conn)
            for row in self.world.like.pupils:
                link = (f"user:{row['portal_id']}", ids[row["person_id"]])
                confirm(conn, place_id, Kind.PERSON, *link, actor="office", how="roster", evidence={}, now=now)


class Typist:
    """Types a list into the city's pages: knows what the list says and what the pages show, and no id of the gateway's."""

    def __init__(self, city: Any) -> None:
        self._city = city
        self._state = city.state()

    def type_all(self, lines: list[HandLine]) -> None:
        for line in lines:
            self.type_line(line)

    def type_line(self, line: HandLine, value: str | None = None) -> None:
        told = line.value if value is None else value
        group = next(one for one in self._state["groups"] if one["name"] == line.page)
        pupil = next((one["id"] for one in self._state["student_profiles"] if self._name(one) == line.pupil), None)
        cell = {"student_profile_id": pupil, "schedule_lesson_id": self._lesson(group, line)}
        what = line.what.partition(" «")[0]
        if what == "отметка":
            self._mark(line, group, cell, told)
        elif what == "пропуск":
            self._city.human("create", "attendance", cell=cell, value=1)
        elif what == "опоздание":
            self._city.human("create", "lesson_comment", student_id=pupil, cell=cell, value=told)
        elif what == "итог периода":
            period = re.search("«(.+)»", line.what)
            assert period is not None
            ids = [p["id"] for s in self._schedules(group) for p in s["periods"] if p["name"] == period[1]]
            fields = {"student_profile_id": pupil, "subject_id": group["subject_id"], "academic_year_id": 14}
            self._city.human("create", "final_mark", attestation_period_id=ids[0], value=told, **fields)
        elif what == "домашнее задание":
            self._homework(line, group, told)
        else:
            self._topics(group, told)

    def _mark(self, line: HandLine, group: Any, cell: Any, told: str) -> None:
        form = next(
            one
            for one in self._state["control_forms"]
            if (one["name"], one["subject_id"]) == (line.form, group["subject_id"])
        )
        if line.action == "внести":
            fields = {"cell": cell, "control_form_id": form["id"], "weight": line.weight}
            self._city.human("create", "mark", value=told, **fields)
            return
        standing = next(
            one
            for one in self._city.standing("marks")
            if {name: one[name] for name in cell} == cell and one["name"] == line.was
        )
        self._city.human("change" if line.action == "исправить" else "delete", "mark", id=standing["id"], value=told)

    def _homework(self, line: HandLine, group: Any, told: str) -> None:
        found = re.fullmatch(r"(.*) \(на (\d\d\.\d\d\.\d{4}); кому: (.*)\)", told, re.DOTALL)
        assert found is not None
        text, prepared_for, whom = found.groups()
        own = {
            self._name(one): one["id"] for one in self._state["student_profiles"] if one["id"] in group["student_ids"]
        }
        pupils = list(own.values()) if whom == "всем" else [own[name] for name in whom.split("; ")]
        teacher = next(one for one in self._state["teacher_profiles"] if self._name(one) == line.teacher)
        assert line.on is not None
        self._city.human(
            "create",
            "homework",
            group_id=group["id"],
            subject_id=group["subject_id"],
            teacher_id=teacher["id"],
            date_assigned_on=f"{line.on:%d.%m.%Y}",
            date_prepared_for=prepared_for,
            student_ids=pupils,
            value=text,
        )

    def _topics(self, group: Any, told: str) -> None:
        plan = next(one for one in self._state["lesson_plans"] if group["id"] in one["group_ids"])
        modules: list[Any] = []
        for row in told.splitlines():
            if row.endswith(":"):
                modules.append({"name": row[:-1], "topics": []})
            else:
                name = row.partition(". ")[2]
                modules[-1]["topics"].append({"name": name, "lessons": [{"name": name}]})
        self._city.human("change", "lesson_plan", id=plan["id"], modules=modules)

    def _schedules(self, group: Any) -> list[Any]:
        ids = group["attestation_periods_schedule_id"]
        return [one for one in self._state["attestation_periods_schedules"] if one["id"] == ids]

    def _lesson(self, group: Any, line: HandLine) -> int | None:
        if not line.lesson or line.on is None:
            return None
        day = [line.on.year, line.on.month, line.on.day]
        return next(
            int(one["id"])
            for one in self._state["schedule_items"]
            if (one["group_id"], one["date"], one["lesson_number"]) == (group["id"], day, line.lesson)
        )

    def _name(self, one: Any) -> str:
        return " ".join(part for part in (one["last_name"], one["first_name"], one["middle_name"]) if part)


@pytest.fixture
def school(build_world: Any, tmp_path: Path) -> School:
    return School(build_world(pupils=3, prepare=prepare), tmp_path / "export")


def sync_through(hand: Any) -> Any:
    """Sync, and approve where a guard asks for it: the first load of a page does."""
    synced = hand.sync()
    if synced.planned.plan.needs_approval:
        hand.approve(synced)
        return hand.deliver()
    return synced


def test_the_full_cycle_proves_everything_and_a_second_plan_is_empty(school: School) -> None:
    world = school.world
    school.export()
    with world.open() as hand:
        school.link_everybody(hand)
        handed = sync_through(hand)
        lines = load_hand_list(hand.gateway)
        kinds = Counter(row.kind for row in hand.operations())
        assert kinds.keys() == {"mark", "absence", "homework", "comment", "final", "topics"}
        assert hand.states() == {"by_hand": len(lines)}
        assert (handed.exit_code, handed.delivered.by_hand) == (4, len(lines))
        assert world.city.ledger() == []
        assert hand.base_rows() == []
        assert_told(school.folder / FOLDER, lines)

        waiting = hand.sync()  # nothing typed yet, the export is the old one
        assert waiting.planned.plan.by_reason["ENTER_BY_HAND"] == len(lines)
        assert load_hand_list(hand.gateway) == lines

        Typist(world.city).type_all(lines)
        school.export()
        proven = hand.sync()

        assert hand.states() == {"verified": len(lines)}
        assert len(hand.base_rows()) == len(lines)
        assert load_hand_list(hand.gateway) == []
        assert proven.exit_code == 0
        assert Counter(one.action for one in hand.actions())["operation.verified"] == len(lines)
        second = hand.sync()
        counters = second.planned.plan.counters
        assert not any(counters.get(name) for name in ("create", "update", "delete", "held", "adopted"))
        assert "ENTER_BY_HAND" not in second.planned.plan.by_reason
        assert len(world.city.ledger()) == len(lines)


def assert_told(folder: Path, lines: list[HandLine]) -> None:
    """The workbook and the text say the same, and belong to nobody else on this machine."""
    text, workbook = folder / "Внести руками.txt", folder / "Внести руками.xlsx"
    assert text.read_text("utf-8") == to_text(lines)
    assert {path.stat().st_mode & 0o077 for path in (text, workbook)} == {0}
    rows = CalamineWorkbook.from_path(workbook).get_sheet_by_index(0).to_python()
    assert len(rows) == len(lines) + 1
    assert {row[12] for row in rows[1:]} == {str(line.operation) for line in lines}
    assert {row[1] for row in rows[1:]} == {line.teacher for line in lines}


def test_what_was_mistyped_is_shown_and_the_rest_is_proven(school: School) -> None:
    world = school.world
    school.export()
    with world.open() as hand:
        school.link_everybody(hand)
        sync_through(hand)
        lines = load_hand_list(hand.gateway)
        wrong, *right = [line for line in lines if line.what == "отметка"]
        typist = Typist(world.city)
        typist.type_line(wrong, "2" if wrong.value != "2" else "3")
        typist.type_all(right[:2])
        school.export()

        synced = hand.sync()

        states = hand.states()
        assert (states["verified"], states["superseded"]) == (2, 1)
        assert states["by_hand"] == len(lines) - 3
        assert synced.planned.plan.by_reason["PROBABLE_TWIN"] == 1
        assert wrong.operation not in {line.operation for line in load_hand_list(hand.gateway)}


def test_a_mark_corrected_at_school_meanwhile_is_put_on_the_list_anew(school: School) -> None:
    world = school.world
    school.export()
    with world.open() as hand:
        school.link_everybody(hand)
        sync_through(hand)
        before = load_hand_list(hand.gateway)
        cell = next((user, item) for user, item in world.portal.cells(COURSE) if item["itemtype"] == "manual")
        user, item = cell
        grade = 2.0 if item["graderaw"] != 2.0 else 5.0
        world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=grade)

        sync_through(hand)

        after = load_hand_list(hand.gateway)
        assert len(after) == len(before)
        gone = {line.operation for line in before} - {line.operation for line in after}
        fresh = [line for line in after if line.operation not in {one.operation for one in before}]
        assert len(gone) == len(fresh) == 1
        assert fresh[0].value == str(int(grade))


def test_a_change_says_what_stands_there_now(school: School) -> None:
    world = school.world
    school.export()
    with world.open() as hand:
        school.link_everybody(hand)
        sync_through(hand)
        Typist(world.city).type_all(load_hand_list(hand.gateway))
        school.export()
        hand.sync()
        user, item = next((user, item) for user, item in world.portal.cells(COURSE) if item["id"] == ITEM)
        was, grade = str(int(item["graderaw"])), 5.0 if item["graderaw"] != 5.0 else 4.0
        world.portal.edit("set_grade", courseid=COURSE, itemid=ITEM, userid=user, grade=grade)

        sync_through(hand)

        (line,) = load_hand_list(hand.gateway)
        assert (line.action, line.value, line.was) == ("исправить", str(int(grade)), was)
        row = next(
            one
            for one in world.city.standing("final_marks")
            if one["value"] == line.was and one["student_profile_id"] in pupil_ids(world, line.pupil)
        )
        world.city.human("change", "final_mark", id=row["id"], value=line.value)
        school.export()
        assert hand.sync().delivered.by_hand == 0
        assert load_hand_list(hand.gateway) == []


def pupil_ids(world: Any, name: str) -> set[int]:
    return {
        one["id"]
        for one in world.city.state()["student_profiles"]
        if " ".join(part for part in (one["last_name"], one["first_name"], one["middle_name"]) if part) == name
    }


def test_an_export_that_cannot_be_read_proves_nothing_and_loses_nothing(school: School) -> None:
    world = school.world
    school.export()
    with world.open() as hand:
        school.link_everybody(hand)
        sync_through(hand)
        lines = load_hand_list(hand.gateway)
        Typist(world.city).type_all(lines)
        school.export()
        for path in school.folder.glob("Журнал*.xlsx"):
            path.write_bytes(path.read_bytes()[:1500])

        with pytest.raises(Exception, match="страницы журнала"):
            hand.sync()

        assert hand.states() == {"by_hand": len(lines)}
        school.export()
        hand.sync()
        assert hand.states() == {"verified": len(lines)}
