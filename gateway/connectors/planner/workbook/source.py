"""The folder of workbooks as a source of canonical records: what the rest of the gateway sees of this connector.

Scopes bear the file they were read from, `mark|workbook/programme:7:алгебра|workbook/group:7а:алгебра|file:1f3a…`, so that a file
that can't be read now spoils nothing but its own. What stands in two files is read from the first by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.directories import Directories
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.folder import find_files
from gateway.connectors.planner.workbook.names import Names
from gateway.connectors.planner.workbook.pages import Pages
from gateway.connectors.planner.workbook.register import Bells, SchoolDays, Timetable, days_without_calendar
from gateway.connectors.planner.workbook.scopes import SYSTEM, Scopes, fault_of
from gateway.connectors.planner.workbook.sheets import DEFAULT_CAPS, Caps
from gateway.connectors.planner.workbook.survey import survey
from gateway.connectors.port import CheckLine, CheckState, ScopeRead, Stored, Want
from gateway.domain.clock import Clock
from gateway.domain.errors import UnreachableError
from gateway.domain.reasons import WB_COPY, WB_FOLDER, get_reason
from gateway.domain.school_year import SchoolYear


class WorkbookSource:
    """Reads a folder; implements `gateway.connectors.port.PortalSource`.

    Args:
        name: The source's name before its refs.
        folder: The folder.
        clock: For waits and the moments of reads.
        reader: Makes the school year and today of a moment.
        zone: Of the written times.
        bells: When lessons begin, for timetables that number them only.
        find_year: The school's calendar, None where it has none yet.
        is_holiday: Whether a day is without school, for a school without a calendar.
        settle_s: How long a file must have stood still, in seconds.
        caps: What a file may be at most.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        clock: Clock,
        reader: Callable[[datetime], Reader],
        zone: ZoneInfo,
        bells: Bells,
        find_year: Callable[[], SchoolYear | None],
        is_holiday: Callable[[date], bool],
        settle_s: float,
        caps: Caps = DEFAULT_CAPS,
    ) -> None:
        self.name = name
        self._folder = folder
        self._clock = clock
        self._reader = reader
        self._zone = zone
        self._bells = bells
        self._find_year = find_year
        self._is_holiday = is_holiday
        self._settle_s = settle_s
        self._caps = caps

    def check(self) -> Iterator[CheckLine]:
        """Tell whether the folder can be read, and which of its files can't."""
        subject = "planner.folder"
        try:
            files = find_files(self._folder, self._clock, settle_s=0, caps=self._caps)
        except CellError as exc:
            yield CheckLine(subject=subject, state=CheckState.FAILED, sentence=get_reason(exc.code).what_ru)
            return
        if not files:
            sentence = "В папке планировщика нет книг"
            yield CheckLine(subject=subject, state=CheckState.WARNING, sentence=sentence)
            return
        yield CheckLine(subject=subject, state=CheckState.OK, sentence=f"Книг в папке планировщика: {len(files)}")
        for file in files:
            if file.problem:
                reason = get_reason(file.problem)
                sentence = f"{file.path.name}: {reason.what_ru} {reason.todo_ru}"
                yield CheckLine(subject="planner.file", state=CheckState.WARNING, sentence=sentence)

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Read the folder: directories of all files, then lessons, then page by page.

        Raises:
            UnreachableError: The folder can't be listed.
        """
        del stored
        reader = self._reader(self._clock.now())
        try:
            files = find_files(self._folder, self._clock, settle_s=self._settle_s, caps=self._caps)
        except CellError as exc:
            reason = get_reason(exc.code)
            raise UnreachableError(f"{reason.what_ru} {reason.todo_ru}", system=SYSTEM, reason=WB_FOLDER) from exc
        read = [one for one in survey(files, reader, self._caps) if one.file.problem != WB_COPY]
        unread = [one for one in read if one.problem is not None]
        whole = [one for one in read if one.problem is None]
        names = Names(self.name)
        scopes = Scopes(names, self._clock, want)
        for one in unread:
            yield scopes.unread(one, "file", fault_of(one))
        for one in whole:
            for number, fault in one.broken.items():
                yield scopes.unread(one, f"sheet:{number}", fault)
        timetable = Timetable(reader.year, self._zone, self._bells, self._school_days())
        directories = Directories(names, whole, timetable)
        yield from directories.iter_scopes(scopes)
        yield from directories.iter_memberships(scopes)
        waiting = next((one for one in unread if one.is_waiting), None)
        yield from directories.iter_lessons(scopes, waiting)
        yield from directories.iter_plans(scopes)
        pages = Pages(directories, names, reader, self._caps, waiting=waiting)
        for one in whole:
            yield from pages.iter_scopes(one, scopes)
            yield from pages.iter_homework(one, scopes)

    def _school_days(self) -> SchoolDays:
        year = self._find_year()
        return days_without_calendar(self._is_holiday) if year is None else year.iter_school_days
