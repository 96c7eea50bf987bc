"""The suite bites: a connector made wrong in one way, a way a law, is caught by exactly what that law looks at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.connectors.port import CheckLine, CheckState, PortalSource, ScopeRead, Stored, Want
from gateway.domain.errors import IncompleteReadError, RecordError, UnreachableError
from gateway.domain.identifiers import Kind, scope_key, sourced
from gateway.domain.reasons import PLANNER_INVALID
from gateway.domain.records import Entry, Group, Lesson, Mark, Person, Record, Scale
from tests.contract.sources.laws import LAWS, Keeper, Spoilt, Stand, files_open_in
from tests.contract.sources.stands import NOW

STARTS = datetime(2026, 11, 10, 6, 0, tzinfo=UTC)
NAMES = ("Кимова", "Ёлкина")


class PaperSource:
    """Two groups of two pupils on paper, read rightly, or wrongly in one way."""

    name = "paper"

    def __init__(self, stand: PaperStand) -> None:
        self._stand = stand
        self._kept: list[Any] = []
        self._files: list[Any] = []

    def is_wrong(self, how: str) -> bool:
        return self._stand.wrong == how

    def close(self) -> None:
        if not self.is_wrong("leaves its file open"):
            while self._files:
                self._files.pop().close()

    def check(self) -> Iterator[CheckLine]:
        is_away = self._stand.is_away and not self.is_wrong("says that all is well")
        state = CheckState.FAILED if is_away else CheckState.OK
        yield CheckLine(subject="paper", state=state, sentence=f"Бумага, {self._whom()}")

    def _whom(self) -> str:
        return NAMES[0] if self.is_wrong("names a pupil") else "двое"

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        del stored
        if self.is_wrong("hands over a list"):
            return list(self._iter(want))  # type: ignore[return-value]  # what is wrong with it
        return self._iter(want)

    def _iter(self, want: Want) -> Iterator[ScopeRead]:
        stand = self._stand
        if stand.is_away:
            if self.is_wrong("is away and says nothing"):
                return
            raise UnreachableError("Бумаги нет", system="paper")
        self._files.append(stand.path.open("rb"))
        reads = [
            self._read(Kind.PERSON, self._people(), "site"),
            self._read(Kind.GROUP, self._groups(), "site"),
            *(self._read(Kind.LESSON, [self._lesson(number)], "school", f"group:{number}") for number in (1, 2)),
        ]
        if self.is_wrong("begins with what hangs on the rest"):
            reads.reverse()
        for read in reads:
            if read.kind in want.kinds or self.is_wrong("gives what nobody asked for"):
                yield read
        for number in (1, 2):
            if Kind.MARK in want.kinds:
                read = self._marks(number)
                if self.is_wrong("keeps what it handed over"):
                    self._kept.append(read)
                yield read
        if self.is_wrong("gives a scope twice"):
            yield self._marks(2)
        self.close()

    def _marks(self, number: int) -> ScopeRead:
        stand = self._stand
        records: list[Record] = []
        faults: list[RecordError] = []
        for pupil in stand.present:
            ref = f"mark:{number}:{pupil}"
            if ref == stand.spoilt:
                if self.is_wrong("drops what is bad"):
                    continue
                where = "" if self.is_wrong("parks without a place") else sourced("paper", ref)
                told = f": {stand.spoilt_value}" if self.is_wrong("tells the value") else ""
                faults.append(RecordError(f"Не отметка{told}", where=where, reason=PLANNER_INVALID))
            elif ref != stand.cleared:
                records.append(self._mark(number, pupil))
        read = self._read(Kind.MARK, records, "school", f"group:{number}", faults=faults)
        if number == 1 and stand.is_cut:
            if self.is_wrong("calls half a page whole"):
                return msgspec.structs.replace(read, records=records[:1])
            problem = IncompleteReadError("Страница оборвана", system="paper")
            return msgspec.structs.replace(read, records=(), faults=(), problem=problem)
        if number == 1 and stand.spoilt and self.is_wrong("stops at what is bad"):
            return msgspec.structs.replace(read, records=())
        return read

    def _read(self, kind: Kind, records: list[Record], *parts: str, faults: Any = ()) -> ScopeRead:
        source = "other" if self.is_wrong("names its scopes as another's") else "paper"
        pupils = frozenset(sourced("paper", f"person:{one}") for one in self._stand.present)
        if self.is_wrong("does not tell who is there"):
            pupils = frozenset()
        elif self.is_wrong("counts who left among the present"):
            pupils |= {sourced("paper", "person:2")}
        return ScopeRead(
            scope=scope_key(kind, *(sourced(source, part) for part in parts)),
            kind=kind,
            read_at=NOW + timedelta(seconds=1),
            records=records,
            faults=faults,
            pupils_present=pupils,
            items_present=frozenset(sourced("paper", f"lesson:{number}") for number in (1, 2)),
        )

    def _people(self) -> list[Record]:
        return [
            Person(ref=sourced("paper", f"person:{one}"), role="pupil", last_name=NAMES[one - 1], first_name="Яна")
            for one in self._stand.present
        ]

    def _groups(self) -> list[Record]:
        return [
            Group(ref=sourced("paper", f"group:{one}"), programme="paper/school", subject="paper/s", name=f"7А {one}")
            for one in (1, 2)
        ]

    def _lesson(self, number: int) -> Lesson:
        ref, group = sourced("paper", f"lesson:{number}"), sourced("paper", f"group:{number}")
        return Lesson(ref=ref, group=group, starts_at=STARTS, duration_min=45, ordinal=1)

    def _mark(self, number: int, pupil: int) -> Mark:
        self._stand.reads += 1
        turn = f":{self._stand.reads}" if self.is_wrong("gives new refs each time") else ""
        entry = self._stand.entry if number == 1 and pupil == 1 else None
        if entry is not None and self.is_wrong("forgets for whom"):
            entry = msgspec.structs.replace(entry, on_behalf_of="")
        return Mark(
            ref=sourced("paper", f"mark:{number}:{pupil}{turn}"),
            origins={} if self.is_wrong("does not tell the origin") else {"*": f"paper/page/{number}"},
            entry=entry or Entry(way="page"),
            pupil=sourced("paper", f"person:{pupil}"),
            programme="paper/school",
            group=sourced("paper", f"group:{number}"),
            item=sourced("paper", f"lesson:{number}"),
            item_name="",
            item_form="manual",
            scale=Scale("points", 0, 5),
            raw_points=float(self._stand.reads) if self.is_wrong("reads another value each time") else 4.0,
        )


class PaperStand(Stand):
    """Paper, and what may be done to it."""

    source = "paper"
    kinds = frozenset({Kind.PERSON, Kind.GROUP, Kind.LESSON, Kind.MARK})
    cuts = ("a page is torn",)

    def __init__(self, folder: Path, wrong: str = "") -> None:
        super().__init__(folder)
        self.wrong = wrong
        self.path = folder / "paper"
        self.path.write_bytes(b"paper")
        self.present = [1, 2]
        self.is_cut = self.is_away = False
        self.spoilt = self.cleared = ""
        self.spoilt_value = "превосходно"
        self.entry: Entry | None = None
        self.reads = 0

    def open(self) -> PortalSource:
        return PaperSource(self)

    def cut(self, how: str) -> None:
        self.is_cut = bool(how)

    def vanish(self) -> None:
        self.is_away = True

    def clear(self) -> frozenset[str]:
        self.cleared = "mark:1:1"
        return frozenset({"paper/mark:1:1"})

    def spoil(self) -> Spoilt:
        self.spoilt = "mark:1:1"
        refs = frozenset({"paper/mark:1:1"})
        return Spoilt(refs=refs, wheres=refs, value=self.spoilt_value)

    def leave(self) -> str:
        self.present.remove(2)
        return "paper/person:2"

    def enter(self) -> tuple[str, Entry]:
        self.entry = Entry(typed_by="curator", on_behalf_of="teacher", answers="teacher", way="page")
        return "paper/mark:1:1", self.entry

    def held(self) -> int:
        return files_open_in(self.folder)


WRONG = {
    "names its scopes as another's": "names_are_its_own",
    "gives a scope twice": "names_are_its_own",
    "gives what nobody asked for": "what_it_declares_is_what_it_gives",
    "begins with what hangs on the rest": "directories_come_first",
    "hands over a list": "it_streams",
    "keeps what it handed over": "it_streams",
    "gives new refs each time": "a_second_read_is_the_same",
    "reads another value each time": "a_second_read_is_the_same",
    "calls half a page whole": "what_is_cut_claims_nothing",
    "is away and says nothing": "a_source_that_is_away_is_told_as_that",
    "says that all is well": "a_source_that_is_away_is_told_as_that",
    "drops what is bad": "a_bad_record_is_parked_alone",
    "parks without a place": "a_bad_record_is_parked_alone",
    "stops at what is bad": "a_bad_record_is_parked_alone",
    "does not tell who is there": "a_cleared_value_is_told",
    "counts who left among the present": "a_pupil_who_left_takes_nothing_out",
    "forgets for whom": "who_brought_it_is_kept",
    "does not tell the origin": "who_brought_it_is_kept",
    "names a pupil": "no_text_tells_a_name",
    "tells the value": "no_text_tells_a_name",
    "leaves its file open": "a_read_that_is_given_up_lets_go",
}
"""What is wrong with the planted connector → the law that must fail."""


def put_up(tmp_path: Path, wrong: str = "") -> PaperStand:
    folder = tmp_path / "outside"
    folder.mkdir()
    return PaperStand(folder, wrong)


@pytest.mark.parametrize("law", LAWS)
def test_the_connector_with_nothing_wrong_keeps_the_law(law: str, tmp_path: Path, keeper: Keeper) -> None:
    LAWS[law](put_up(tmp_path), keeper)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the file that is left open on purpose
@pytest.mark.parametrize(("wrong", "law"), WRONG.items())
def test_what_is_wrong_with_a_connector_breaks_its_law(wrong: str, law: str, tmp_path: Path, keeper: Keeper) -> None:
    with pytest.raises(AssertionError):
        LAWS[law](put_up(tmp_path, wrong), keeper)


def test_every_law_has_a_connector_that_breaks_it() -> None:
    assert set(WRONG.values()) == set(LAWS)
