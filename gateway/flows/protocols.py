"""Protocols: what of each finished attempt its pupil may see is kept at the school, and what has become hidden is taken out.

Beside the marks, never before them: a run's marks have gone their way when this begins, and whatever fails here is a remark.
Of a test that hides its questions nothing is even read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from gateway.access.looks import subject_ref
from gateway.audit.deed import Deed
from gateway.audit.subjects import pseudonyms_of
from gateway.connectors.kept_port import ProtocolSource
from gateway.domain.attempts import Verdict, count_attempts
from gateway.domain.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectorError,
    RecordError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import Kind
from gateway.domain.protocols import SOON, Part, Protocol, Review, Step, Why, hidden_parts, limited, next_steps
from gateway.domain.records import Attempt
from gateway.flows.gateway import Gateway
from gateway.mapping.links import load_links
from gateway.report.protocols import (
    Fresh,
    Stored,
    WholeProtocol,
    find_protocol,
    limit_stored,
    load_earlier_places,
    load_of_person,
    load_reviews,
    load_stored,
    move_stored,
    purge_protocols,
    remove_all,
    remove_stored,
    store_fresh,
    store_reviews,
)
from gateway.report.test_cells import StoredAttempt, TestCell, iter_cells, load_tests

PURGE_COUNT = 1_000
"""Rows removed in one write transaction."""
STORE_COUNT = 50
"""Protocols held before they are stored; a review is some ten kilobytes of text."""
MAX_OUTAGES_COUNT = 3
"""Failures in a row after which the portal is left alone until the next run."""
TRIED_AGAIN = timedelta(days=7)
"""A protocol that the portal did not give is asked for again after this, so that it does not stand before others every night."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did about protocols.

    Attributes:
        read: Asked of the portal and stored.
        made: Stored without asking, because the test hides its questions.
        unchanged: Nothing to do.
        taken_out: Protocols out of which something hidden was taken.
        removed: Protocols of attempts that were deleted at the portal; all, where protocols were switched off.
        purged: Past their time.
        refused: The portal did not give them, or they can't be understood.
        waiting: Left for the next run.
    """

    read: int = 0
    made: int = 0
    unchanged: int = 0
    taken_out: int = 0
    removed: int = 0
    purged: int = 0
    refused: int = 0
    waiting: int = 0


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt whose protocol is to be read or made."""

    cell: TestCell
    stored: StoredAttempt
    hidden: dict[Part, Why]


def keep_protocols(gateway: Gateway) -> Kept | None:
    """Bring the stored protocols up to date with attempts and settings.

    Returns:
        None where protocols are not kept here.

    Raises:
        ConnectorError: The portal can't be asked for its tests; what is stored stands, but for what is past its time.
    """
    source, settings = gateway.protocols, gateway.settings.portal
    counts: Counter[str] = Counter(purged=_purge(gateway))
    if source is None:
        return None
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        earlier = load_earlier_places(conn, place_id)
    if not settings.protocols:
        # nobody looks at the tests' settings any more, so nothing may stay that they might hide
        counts["removed"] += sum(_remove_all(gateway, number) for number in (place_id, *earlier))
        return Kept(**counts) if counts["removed"] else None
    left = settings.protocols_per_run if source.may_read_protocols() else 0
    for number in (place_id, *earlier):
        keeper = _Keeper(gateway, source, number, counts, budget=left if number == place_id else 0)
        keeper.keep()
    return Kept(**counts)


class _Keeper:
    """One school year's protocols."""

    def __init__(
        self, gateway: Gateway, source: ProtocolSource, place_id: int, counts: Counter[str], *, budget: int
    ) -> None:
        self._gateway = gateway
        self._store = gateway.store
        self._source = source
        self._place_id = place_id
        self._counts = counts
        self._budget = budget
        self._outages = 0

    def keep(self) -> None:
        """Go through the cells of tests."""
        reviews = self._load_reviews()
        for cells in iter_cells(self._store, self._place_id):
            wanted = self._settle(cells, reviews)
            self._read(wanted)

    def _load_reviews(self) -> dict[str, Review | None]:
        """Settings by test; a test that is not there any more is not in it, and what is kept of it stands."""
        with self._store.read() as conn:
            known = load_reviews(conn, self._place_id)
        tests = load_tests(self._store, self._place_id)
        programmes = sorted({programme for programme, _ in tests.values()})
        shown = self._source.fetch_reviews(programmes).shown if programmes else {}
        now = self._store.now()
        with self._store.write() as conn:
            store_reviews(conn, self._place_id, known, [one for one in shown.values() if one is not None], now=now)
        found: dict[str, Review | None] = {}
        for activity in tests.keys() & shown.keys():
            review, before = shown[activity], known.get(activity)
            if review is None and before is not None and before.closes_at is not None and before.closes_at <= now:
                # a closed test shows its settings to nobody: the last seen ones stand while pupils are shown the same
                review = before if self._stands(before, tests[activity][1]) else None
            found[activity] = review
        return found

    def _stands(self, review: Review, pupil: str) -> bool:
        try:
            return self._source.stands_when_closed(review, pupil)
        except ConnectorError:
            return False  # nothing may be kept on a guess

    def _settle(self, cells: Sequence[TestCell], reviews: Mapping[str, Review | None]) -> list[_Wanted]:
        """Take out what has become hidden, before anything is read; say what is to be read."""
        now = self._store.now()
        refs = [one.attempt.ref for cell in cells for one in cell.attempts]
        with self._store.read() as conn:
            stored = load_stored(conn, self._place_id, refs)
        # with the last attempt the portal takes the grade away, and then attempts are not even asked for
        deleted = [one.attempt.ref for cell in cells for one in cell.attempts if one.is_deleted or cell.is_cleared]
        deleted = [ref for ref in deleted if ref in stored]
        limits: dict[str, dict[Part, Why]] = {}
        moved: dict[str, str | None] = {}
        wanted: list[_Wanted] = []
        for cell in cells:
            if cell.activity not in reviews:
                continue
            is_hidden = cell.mark is not None and cell.mark.is_hidden
            hidden = hidden_parts(reviews[cell.activity], now=now, is_grade_hidden=is_hidden)
            for one in cell.attempts:
                if not one.is_live or cell.is_cleared or not _is_due(one.attempt, now):
                    continue
                known = stored.get(one.attempt.ref)
                if known is not None and cell.mark is not None and known.group_ref != cell.mark.group:
                    moved[one.attempt.ref] = cell.mark.group
                steps = _steps(known, one, hidden, now=now)
                if Step.LIMIT in steps:
                    limits[one.attempt.ref] = hidden
                if Step.READ in steps:
                    wanted.append(_Wanted(cell=cell, stored=one, hidden=hidden))
                elif Step.KEEP in steps:
                    self._counts["unchanged"] += 1
        if deleted or limits or moved:
            with self._store.write() as conn:
                self._counts["removed"] += remove_stored(conn, self._place_id, deleted)
                self._counts["taken_out"] += limit_stored(conn, self._place_id, limits)
                move_stored(conn, self._place_id, moved)
        return wanted

    def _read(self, wanted: Sequence[_Wanted]) -> None:
        fresh: list[Fresh] = []
        for one in wanted:
            found = self._make(one)
            if found is None:
                self._counts["waiting"] += 1
                continue
            fresh.append(found)
            if len(fresh) >= STORE_COUNT:
                self._flush(fresh)
        self._flush(fresh)

    def _flush(self, fresh: list[Fresh]) -> None:
        if fresh:
            with self._store.write() as conn:
                store_fresh(conn, self._place_id, fresh, now=self._store.now(conn))
            fresh.clear()

    def _make(self, one: _Wanted) -> Fresh | None:
        """Read a protocol, or make it where there is nothing to ask for; None = not in this run."""
        attempt = one.stored.attempt
        if Part.QUESTIONS in one.hidden:
            self._counts["made"] += 1
            return _fresh(one, limited(_outline(attempt), one.hidden))
        if self._budget <= 0 or self._outages >= MAX_OUTAGES_COUNT:
            return None
        self._budget -= 1
        try:
            whole = self._source.fetch_protocol(attempt.ref, attempt.activity, attempt.programme)
        except UnreachableError:
            self._outages = MAX_OUTAGES_COUNT
            return None
        except (UnavailableError, AccessDeniedError):
            self._outages += 1
            return None
        except (ConnectorError, RecordError) as error:
            self._counts["refused"] += 1
            return _fresh(one, None, problem=error.reason_code)
        self._outages = 0
        if (whole.pupil, whole.activity) != (attempt.pupil, attempt.activity):
            self._counts["refused"] += 1
            return _fresh(one, None, problem="INCOMPLETE_READ")
        self._counts["read"] += 1
        self._gateway.progress("protocols", self._counts["read"])
        return _fresh(one, limited(whole, one.hidden))


def _is_due(attempt: Attempt, now: datetime) -> bool:
    ended = attempt.finished_at
    return attempt.state == "finished" and (ended is None or ended + SOON <= now)


def _steps(known: Stored | None, one: StoredAttempt, hidden: Mapping[Part, Why], *, now: datetime) -> tuple[Step, ...]:
    is_same = known is not None and known.attempt_digest == one.digest
    if known is not None and known.problem is not None:
        is_early = is_same and now < known.read_at + TRIED_AGAIN and Part.QUESTIONS not in hidden
        return () if is_early else (Step.READ,)
    return next_steps(None if known is None else known.absent, hidden, is_same_attempt=is_same)


def _outline(attempt: Attempt) -> Protocol:
    return Protocol(
        ref=attempt.ref,
        activity=attempt.activity,
        programme=attempt.programme,
        pupil=attempt.pupil,
        number=attempt.number,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        points=attempt.points,
        maximum=attempt.maximum,
    )


def _fresh(one: _Wanted, protocol: Protocol | None, *, problem: str | None = None) -> Fresh:
    attempt = one.stored.attempt
    return Fresh(
        ref=attempt.ref,
        pupil=attempt.pupil,
        group_ref=None if one.cell.mark is None else one.cell.mark.group,
        programme=attempt.programme,
        activity=attempt.activity,
        finished_at=attempt.finished_at,
        attempt_digest=one.stored.digest,
        protocol=protocol,
        problem=problem,
    )


def _remove_all(gateway: Gateway, place_id: int) -> int:
    total = 0
    while True:
        with gateway.store.write() as conn:
            count = remove_all(conn, place_id, limit=PURGE_COUNT)
        total += count
        if count < PURGE_COUNT:
            return total


def _purge(gateway: Gateway) -> int:
    before = gateway.now() - timedelta(days=gateway.settings.portal.protocol_days)
    total = 0
    while True:
        with gateway.store.write() as conn:
            count = purge_protocols(conn, before=before, limit=PURGE_COUNT)
        total += count
        if count < PURGE_COUNT:
            return total


def show_protocols(gateway: Gateway, name: str) -> list[WholeProtocol]:
    """Load the protocols of a pupil (`user:3`) or one attempt (`attempt:12`), and write the look down first.

    Raises:
        ConfigurationError: Nothing is kept under that name.
        AuditError: The look can't be written down: then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        if name.startswith("attempt:"):
            one = find_protocol(conn, place_id, name)
            found = [] if one is None else [one]
        else:
            found = load_of_person(conn, place_id, name)
        note_shown(gateway, conn, {each.protocol.pupil for each in found}, "protocol")
    if not found:
        raise ConfigurationError("Протоколов нет: назовите ученика (user:3) или попытку (attempt:12)")
    return found


class CellLine(msgspec.Struct, frozen=True, kw_only=True):
    """A test's cell that its attempts do not come to."""

    pupil: str
    activity: str
    verdict: Verdict
    in_gradebook: float
    by_attempts: float | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Test cells by verdict, and those that differ, the first of them."""

    counts: dict[str, int]
    differing: list[CellLine]


def check_tests(gateway: Gateway, *, limit: int) -> Checked:
    """Hold the attempts of every test against the gradebook's value.

    Args:
        limit: Most differing cells to list; all are counted.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
    counts: Counter[str] = Counter()
    lines: list[CellLine] = []
    pupils: set[str] = set()
    for cells in iter_cells(gateway.store, place_id):
        for cell in cells:
            verdict, mark = cell.verdict, cell.mark
            if verdict is None or mark is None:
                continue
            counts[verdict.value] += 1
            if verdict is not Verdict.AGREES and len(lines) < limit:
                points = count_attempts(cell.live).points
                pupils.add(cell.pupil)
                lines.append(
                    CellLine(
                        pupil=cell.pupil,
                        activity=cell.activity,
                        verdict=verdict,
                        in_gradebook=mark.raw_points,
                        by_attempts=points,
                    )
                )
    with gateway.store.write() as conn:
        note_shown(gateway, conn, pupils, "mark")
    return Checked(counts=dict(counts), differing=lines)


def note_shown(gateway: Gateway, conn: Connection, pupils: Collection[str], what: str) -> None:
    """Write in the caller's transaction that the operator is shown these pupils' data."""
    links = load_links(conn, gateway.place_id(conn), Kind.PERSON)
    subjects = sorted({subject_ref(pupil, links) for pupil in pupils})
    known = pseudonyms_of(conn, gateway.place, subjects)
    gateway.audit.append_many(
        conn,
        [
            Deed(
                stream="access",
                action="pupil.shown",
                actor=gateway.actor,
                place=gateway.place,
                object_type=what,
                subject=known[subject],
                outcome="shown",
            )
            for subject in subjects
        ],
    )
