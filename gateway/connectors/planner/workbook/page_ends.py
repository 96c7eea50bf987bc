"""Final marks and remarks of a group's pages as they are put together; the marks beside them are `pages`' own.

What can't be read, or of which two sheets say different things, is parked under its own ref, as everything of a page.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from gateway.connectors.planner.workbook import records
from gateway.connectors.planner.workbook.entries import FinalEntry, RemarkEntry
from gateway.connectors.planner.workbook.faults import CellError, Place
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.register import Timetable
from gateway.connectors.planner.workbook.scopes import Lost
from gateway.domain.reasons import WB_CONTRADICTION, WB_DATE
from gateway.domain.records import Absence, Record


class PageEnds:
    """The ends of one group's pages of a file.

    Attributes:
        items: Columns of final marks.

    Args:
        names: Of the source.
        key: The group.
        timetable: When its lessons are.
    """

    def __init__(self, names: Names, key: GroupKey, timetable: Timetable) -> None:
        self.items: set[str] = set()
        self.lost_finals = Lost()
        self.lost_remarks = Lost()
        self._names = names
        self._key = key
        self._timetable = timetable
        self._finals: dict[str, tuple[str, FinalEntry, Place]] = {}
        self._remarks: dict[str, tuple[str, RemarkEntry, Place]] = {}

    def put_final(self, pupil: str, entry: FinalEntry, place: Place) -> None:
        """Take a cell of a column of final marks."""
        ref = records.final_ref(self._names, self._key, pupil, entry.final)
        known = self._finals.setdefault(ref, (pupil, entry, place))[1]
        fault = entry.fault
        if known.content != entry.content:
            fault = place.fault(WB_CONTRADICTION, row=entry.row, column=entry.column)
        if fault is not None:
            self.lost_finals.add(fault, ref)

    def put_remark(self, pupil: str, entry: RemarkEntry, place: Place) -> None:
        """Take a remark."""
        ref = self._names.cell("remark", pupil, self._key, entry.day, entry.nth)
        known = self._remarks.setdefault(ref, (pupil, entry, place))[1]
        fault = entry.fault
        if known.text != entry.text:
            fault = place.fault(WB_CONTRADICTION, row=entry.row, column=entry.column)
        if fault is not None:
            self.lost_remarks.add(fault, ref)

    def finals(self) -> list[Record]:
        """The final marks in order."""
        return [
            records.to_final(self._names, self._key, pupil, entry.final, entry.content, place)
            for ref, (pupil, entry, place) in self._finals.items()
            if ref not in self.lost_finals.by_where and entry.content is not None
        ]

    def remarks(self, doubtful: Collection[date]) -> list[Record]:
        """The remarks in order; one whose lesson the timetable does not know is parked.

        Args:
            doubtful: Days of which it is not sure which column is which lesson.
        """
        found: list[Record] = []
        for ref, (pupil, entry, place) in self._remarks.items():
            if ref in self.lost_remarks.by_where:
                continue
            try:
                if entry.day in doubtful and self._timetable.count(self._key, entry.day) != 1:
                    raise CellError(WB_DATE, "рядом столбец без даты")
                slot = self._timetable.find(self._key, entry.day, entry.nth, entry.ordinal)
            except CellError as exc:
                fault = place.fault(exc.code, row=entry.row, column=entry.column, detail=exc.detail)
                self.lost_remarks.add(fault, ref)
            else:
                found.append(records.to_remark(self._names, self._key, pupil, entry, slot, place))
        return found


def to_late_remarks(absences: Collection[Record]) -> list[Record]:
    """A remark for each lateness, which the city knows as one and not as an absence."""
    return [records.to_late(one) for one in absences if isinstance(one, Absence) and one.form == "late"]


__all__ = ["PageEnds", "to_late_remarks"]
