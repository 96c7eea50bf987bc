"""A city without a token: the newest export of each journal page is what stands there, and what is to be written is a list.

A `CityPort` like the connector with a token, so that plan, decisions and reports work alike. Nothing is ever sent: a write
comes back as «by hand», and stays open until the next export shows it.

Source: city-journal.md §0 (no partner API is known), §1.3 (journals/export); layout grade D.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.connectors.mesh.file.layout import Layout, load_layout
from gateway.connectors.mesh.file.pages import Page, Plain, read_page
from gateway.connectors.mesh.file.roll import Listed, Roll, read_roll
from gateway.connectors.mesh.file.workbook import Book, read_book
from gateway.connectors.port import Accepted, CheckLine, CheckState, CityDirectory, CityRead, CityScope
from gateway.domain.city import CityClass, CityForm, CityLesson, CityObject, CitySubject, CityTeacher, CityYear, Intent
from gateway.domain.clock import Clock, moscow_day
from gateway.domain.errors import ConfigurationError, IncompleteReadError, RecordError, UnavailableError
from gateway.domain.identifiers import Kind
from gateway.settings import MeshSettings

SYSTEM = "city"
SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods")
PROFILE = "by-hand"
ILL_IDS = (1, 2)
"""The city's two absence ids: whichever is not the plain «н» of the settings is «б» (C S7)."""


@dataclass
class _Folder:
    """Everything of the folder as last read, and by which files."""

    stamp: tuple[tuple[str, int, int], ...] = ()
    pages: dict[int, Page] = field(default_factory=dict)
    roll: Roll = field(default_factory=lambda: Roll(()))
    faults: list[RecordError] = field(default_factory=list)
    books: int = 0


class FileCity:
    """The city's journal as exported workbooks: a `CityPort`. Safe to use from several threads.

    Args:
        settings: The group `mesh`; `folder` is where the workbooks lie.
        clock: Tells today.

    Raises:
        ConfigurationError: No folder is named, or the layout file is wrong.
    """

    def __init__(self, settings: MeshSettings, *, clock: Clock) -> None:
        if settings.folder is None:
            raise ConfigurationError("Журнал города без доступа: задайте mesh.folder, папку с выгрузками")
        self._path = settings.folder
        self._clock = clock
        self._layout: Layout = load_layout(settings.layout_file)
        plain = settings.absence_reason_id
        ill = next(one for one in ILL_IDS if one != plain)
        self._words = Plain(absence_ids=(plain, ill), late_text=settings.late_text)
        self._lock = threading.Lock()
        self._read = _Folder()

    def check(self) -> Iterator[CheckLine]:
        """Tell what lies in the folder, how old it is, and what can't be read."""
        try:
            found = self._load()
        except UnavailableError as exc:
            yield CheckLine(subject="city.folder", state=CheckState.MISSING, sentence=exc.sentence)
            return
        if not found.pages:
            sentence = f"В папке {self._path.name} нет ни одной страницы журнала: выгрузите журналы групп"
            yield CheckLine(subject="city.folder", state=CheckState.MISSING, sentence=sentence)
            return
        oldest = min(page.exported_at for page in found.pages.values())
        sentence = f"Страниц журнала {len(found.pages)}, самая старая от {moscow_day(oldest):%d.%m.%Y}"
        yield CheckLine(subject="city.folder", state=CheckState.OK, sentence=sentence)
        for fault in _all_faults(found):
            yield CheckLine(
                subject="city.workbook", state=CheckState.FAILED, sentence=f"{fault.where}: {fault.sentence}"
            )

    def fetch_directory(self, day: date) -> CityDirectory:
        """Read the directories of all pages; see `CitySource`."""
        found = self._load()
        if not found.pages:
            raise IncompleteReadError("В папке выгрузок нет ни одной страницы журнала", system=SYSTEM, method="GET")
        pages = [found.pages[group_id] for group_id in sorted(found.pages)]
        classes: dict[int, CityClass] = {}
        subjects: dict[int, CitySubject] = {}
        teachers: dict[int, CityTeacher] = {}
        forms: dict[int, CityForm] = {}
        for page in pages:
            if page.class_ is not None:
                classes[page.class_.id] = page.class_
            subjects[page.group.subject_id] = CitySubject(id=page.group.subject_id, name=page.group.subject_name)
            forms |= {form.id: form for form in page.forms}
            for teacher in page.teachers.values():
                before = teachers.get(teacher.id)
                groups = (*(before.group_ids if before else ()), page.group.id)
                teachers[teacher.id] = CityTeacher(
                    id=teacher.id,
                    last_name=teacher.last_name,
                    first_name=teacher.first_name,
                    middle_name=teacher.middle_name,
                    group_ids=groups,
                )
        return CityDirectory(
            year=_year_of(day),
            periods=tuple(period for page in pages for period in page.periods),
            classes=tuple(classes.values()),
            subjects=tuple(subjects.values()),
            groups=tuple(page.group for page in pages),
            teachers=tuple(teachers.values()),
            pupils=tuple(found.roll.to_city()),
            forms=tuple(forms.values()),
            faults=tuple(f"{fault.where}: {fault.sentence}" for fault in found.faults),
        )

    def fetch_lessons(self, group_ids: Sequence[int], from_on: date, to_on: date) -> Sequence[CityLesson]:
        """Read the timetable of these groups; see `CitySource`."""
        found = self._load()
        lessons: list[CityLesson] = []
        for group_id in group_ids:
            page = self._page(found, group_id)
            if page.faults.get(Kind.LESSON):
                raise _unread(page.faults[Kind.LESSON])
            lessons += [one for one in page.lessons if from_on <= moscow_day(one.starts_at) <= to_on]
        return sorted(lessons, key=lambda one: (one.starts_at, one.group_id, one.id))

    def fetch_scope(self, scope: CityScope) -> CityRead:
        """Read one kind of one group as its newest export has it; see `CitySource`. `read_at` is the export's moment."""
        try:
            page = self._page(self._load(), scope.group_id)
        except (UnavailableError, IncompleteReadError) as exc:
            return CityRead(scope=scope, read_at=self._clock.now(), problem=exc)
        faults = page.faults.get(scope.kind, [])
        if faults:
            return CityRead(scope=scope, read_at=page.exported_at, problem=_unread(faults), faults=faults)
        objects = [one for one in page.objects.get(scope.kind, []) if _is_within(one, scope)]
        return CityRead(scope=scope, read_at=page.exported_at, objects=objects)

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """Put it on the list; see `CitySink`."""
        del intent
        return _by_hand(None, request_id)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Put it on the list; see `CitySink`."""
        del intent
        return _by_hand(city_id, request_id)

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Put it on the list; see `CitySink`."""
        del intent
        return _by_hand(city_id, request_id)

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _page(self, found: _Folder, group_id: int) -> Page:
        page = found.pages.get(group_id)
        if page is None:
            raise IncompleteReadError("Страницы журнала этой группы в папке больше нет", system=SYSTEM, method="GET")
        return page

    def _load(self) -> _Folder:
        """Read the folder, once for as long as nothing in it changes."""
        with self._lock:
            paths = self._list()
            stamp = tuple((path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in paths)
            if stamp != self._read.stamp:
                self._read = self._read_all(paths, stamp)
            return self._read

    def _list(self) -> list[Path]:
        try:
            return sorted(
                path
                for path in self._path.iterdir()
                if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(("~$", "."))
            )
        except OSError as exc:
            raise UnavailableError(f"Папка выгрузок не читается: {self._path.name}", system=SYSTEM) from exc

    def _read_all(self, paths: Sequence[Path], stamp: tuple[tuple[str, int, int], ...]) -> _Folder:
        books: list[Book] = []
        found = _Folder(stamp=stamp, books=len(paths))
        for path in paths:
            try:
                books.append(read_book(path, self._layout))
            except RecordError as exc:
                found.faults.append(exc)
        books.sort(key=lambda book: (book.exported_at, book.file))
        found.roll = Roll(self._listed(books, found))
        for book in books:  # the newest of a group comes last and stays
            if "journal" not in book.sheets:
                continue
            try:
                page = read_page(book, found.roll, self._words)
            except RecordError as exc:
                found.faults.append(exc)
            else:
                found.pages[page.group.id] = page
        return found

    def _listed(self, books: Sequence[Book], found: _Folder) -> list[Listed]:
        """Pupils of the newest list of pupils; older ones are history."""
        lists = [book.sheets["pupils"] for book in books if "pupils" in book.sheets]
        if not lists:
            return []
        listed, faults = read_roll(lists[-1])
        found.faults += faults
        return listed


def _by_hand(city_id: int | None, request_id: str) -> Accepted:
    return Accepted(city_id=city_id, request_id=request_id, status=0, profile=PROFILE, is_by_hand=True)


def _unread(faults: Sequence[RecordError]) -> IncompleteReadError:
    sentence = f"Выгрузка журнала не разобрана, мест: {len(faults)}; первое — {faults[0].where}: {faults[0].sentence}"
    return IncompleteReadError(sentence, reason="CONTRACT", system=SYSTEM, method="GET")


def _all_faults(found: _Folder) -> list[RecordError]:
    told = [fault for page in found.pages.values() for kind in sorted(page.faults) for fault in page.faults[kind]]
    unique = {(fault.where, fault.sentence): fault for fault in (*found.faults, *told)}
    return list(unique.values())


def _is_within(obj: CityObject, scope: CityScope) -> bool:
    on = getattr(obj, "on", None) or getattr(obj, "assigned_on", None)
    return on is None or scope.from_on <= on <= scope.to_on


def _year_of(day: date) -> CityYear:
    """The school year of a day: 1 September to 31 August (R23)."""
    first = day.year if day.month >= 9 else day.year - 1
    return CityYear(
        id=first,
        name=f"{first}/{first + 1}",
        begins_on=date(first, 9, 1),
        ends_on=date(first + 1, 8, 31),
        is_current=True,
    )


__all__ = ["FileCity"]
