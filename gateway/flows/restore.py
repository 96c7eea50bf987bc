"""Restore: a backup in the place of the configured database, and a new epoch that distrusts it (law 12).

What the database then remembers is older than the city. So the epoch grows and the write lock falls in the same step
that makes the restored tables visible; what was queued is dropped; the next whole plan reads the city and adopts.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, make_url, select, update
from sqlalchemy.exc import DBAPIError

from gateway.audit.deed import Actor, Deed
from gateway.audit.erased import erase_again, load_erased, read_erased
from gateway.audit.log import AuditLog
from gateway.domain.clock import Clock
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.flows.backup import Manifest, check_backup
from gateway.flows.runs import RunState
from gateway.queue.states import State
from gateway.queue.tables import operation, sending_stop
from gateway.reconcile.plan import PlanState
from gateway.reconcile.tables import plan, run, scope_memo
from gateway.store import backup as copies
from gateway.store import schema
from gateway.store.engine import make_engine
from gateway.store.epoch import begin_locked_epoch, get_epoch
from gateway.store.place import load_instance
from gateway.store.transaction import Store
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
LOCK_REASON = "RESTORED"
INTERRUPTED = "Прерван восстановлением базы из копии"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the database that is to be replaced.

    Attributes:
        has_history: Anything ever ran in it.
        runs: Runs that have not ended.
        leased: Operations that somebody works on right now.
        erased: Pseudonyms that must not come back.
        stops: Emergency stops that hold.
    """

    instance_id: str
    epoch: int
    has_history: bool
    runs: list[int]
    leased: int
    erased: set[str]
    stops: list[dict[str, Any]]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did.

    Attributes:
        kept_as: Where the replaced SQLite file stands; None where there was none.
        is_old_known: The replaced database could be read; without it neither its runs nor its erasures are known.
    """

    epoch: int
    dropped: int
    unknown: int
    erased_again: int
    kept_as: str | None
    is_old_known: bool


def restore(
    url: str,
    path: Path,
    *,
    clock: Clock,
    actor: Actor,
    environment: str,
    code_version: str,
    is_sure: bool,
    abandon_runs: bool = False,
    sink_file: Path | None = None,
) -> Restored:
    """Put a backup in the place of the database.

    Args:
        url: The configured database.
        path: The backup; its manifest stands beside it.
        clock: The time.
        actor: Who.
        environment: `audit.environment`.
        code_version: Version of the gateway.
        is_sure: The operator said so; without it nothing is done.
        abandon_runs: Runs that have not ended are dead: their process was killed.
        sink_file: Exported audit lines kept outside the database: whom they name as erased is erased again.

    Raises:
        ConfigurationError: The file is no backup of this database, or the database is in use.
        GatewayError: The backup is damaged; nothing was changed.
        PlanRefusedError: Not sure, or a run is running.
    """
    manifest = check_backup(path, clock).manifest
    dialect = "sqlite" if make_url(url).get_backend_name() == "sqlite" else "postgresql"
    if dialect != manifest.dialect:
        raise ConfigurationError(f"Копия сделана с базы {manifest.dialect}, а database.url указывает на {dialect}")
    standing = _load_standing(url, clock)
    _refuse(standing, manifest, is_sure=is_sure, abandon_runs=abandon_runs)
    epoch = max(manifest.epoch, standing.epoch if standing is not None else 0) + 1
    erased = set(standing.erased if standing is not None else ())
    if sink_file is not None and sink_file.exists():
        erased |= read_erased(sink_file)
    step = _Step(manifest, epoch, erased, standing, clock, actor, environment, code_version)
    if dialect == "sqlite":
        return step.into_sqlite(Path(str(make_url(url).database)), path)
    return step.into_postgresql(url, path)


def begin_epoch(
    store: Store, manifest: Manifest, *, epoch: int, actor: Actor, environment: str, code_version: str
) -> Restored:
    """Begin a locked epoch in a database whose tables were just put back: the last step of every restore.

    Args:
        store: The restored database.
        manifest: What was restored.
        epoch: Greater than that of the backup and that of the replaced database.
        actor: Who.
        environment: `audit.environment`.
        code_version: Version of the gateway.
    """
    return _Step(manifest, epoch, (), None, store.clock, actor, environment, code_version).begin(store)


def _load_standing(url: str, clock: Clock) -> Standing | None:
    """Look at the database that is to be replaced; None where there is none or it can't be read."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return None
    engine = make_engine(url)
    try:
        if schema.current_revision(engine) is None:
            return None
        if schema.is_newer(engine) and parsed.get_backend_name() != "sqlite":
            # A file is replaced whole; in a schema, tables that this version does not know would be left behind.
            raise ConfigurationError("База данных новее программы: удалите её схему в PostgreSQL и повторите")
        store = Store(engine, clock)
        with store.read() as conn:
            return _standing(conn, store)
    except DBAPIError:
        return None  # damaged, which is a reason to restore and not to refuse
    finally:
        engine.dispose()


def _standing(conn: Connection, store: Store) -> Standing:
    instance = load_instance(conn)
    busy = select(operation.c.id).where(
        operation.c.state.in_((State.CLAIMED.value, State.SENDING.value)), operation.c.lease_until > store.now(conn)
    )
    stops = conn.execute(select(sending_stop).where(sending_stop.c.is_lifted.is_(False)))
    return Standing(
        instance_id=instance.instance_id,
        epoch=instance.epoch,
        has_history=conn.execute(select(run.c.id).limit(1)).one_or_none() is not None,
        runs=list(
            conn.execute(select(run.c.id).where(run.c.state == RunState.RUNNING.value).order_by(run.c.id)).scalars()
        ),
        leased=len(conn.execute(busy).all()),
        erased=load_erased(conn),
        stops=[{**row._mapping, "note_id": None} for row in stops],
    )


def _refuse(standing: Standing | None, manifest: Manifest, *, is_sure: bool, abandon_runs: bool) -> None:
    if not is_sure:
        raise PlanRefusedError("Восстановление заменит базу целиком: повторите с --yes", reason="NOT_CONFIRMED")
    if standing is None:
        return
    if standing.instance_id != manifest.instance_id and standing.has_history:
        raise ConfigurationError("Копия сделана с другой базы: уберите прежнюю базу или укажите свою в database.url")
    if standing.leased:
        raise PlanRefusedError(
            "Сейчас идёт отправка: остановите её (gateway stop-sending) и повторите через 20 с", reason="IN_WORK"
        )
    if standing.runs and not abandon_runs:
        numbers = ", ".join(str(number) for number in standing.runs)
        raise PlanRefusedError(
            f"Идёт запуск {numbers}: дождитесь конца; если его процесс убит, повторите с --abandon-runs",
            reason="IN_WORK",
        )


class _Step:
    """The replacing itself, with what both databases need."""

    def __init__(
        self,
        manifest: Manifest,
        epoch: int,
        erased: Collection[str],
        standing: Standing | None,
        clock: Clock,
        actor: Actor,
        environment: str,
        code_version: str,
    ) -> None:
        self._manifest = manifest
        self._epoch = epoch
        self._erased = erased
        self._standing = standing
        self._clock = clock
        self._actor = actor
        self._environment = environment
        self._code_version = code_version

    def into_sqlite(self, target: Path, path: Path) -> Restored:
        """Prepare a copy to its end, then give it the database's name in one step."""
        fresh = target.with_name(f"{target.name}.restoring")
        for end in ("", "-wal", "-shm"):
            fresh.with_name(fresh.name + end).unlink(missing_ok=True)
        engine = copies.open_copy(path)
        try:
            copies.copy_sqlite_file(engine, fresh)
        finally:
            engine.dispose()
        store = Store.open(f"sqlite:///{fresh}", self._clock)
        try:
            result = self.begin(store)
        finally:
            store.close()
        copies.release_sqlite(fresh)
        copies.check_sqlite(fresh)
        if target.exists():
            copies.release_sqlite(target)
        kept = copies.replace_sqlite(fresh, target)
        return msgspec.structs.replace(result, kept_as=None if kept is None else kept.name)

    def into_postgresql(self, url: str, path: Path) -> Restored:
        """Replace the tables and lock them in one transaction, then tidy up under the lock."""
        engine = make_engine(url)
        try:
            lock = (
                f"UPDATE {{schema}}.gateway_instance SET epoch = {int(self._epoch)}, "  # noqa: S608  # a number of ours
                f"epoch_begun_at = clock_timestamp(), write_locked_reason = '{LOCK_REASON}'"
            )
            copies.restore_postgresql(engine, path, after=[lock])
        finally:
            engine.dispose()
        store = Store.open(url, self._clock)
        try:
            return self.begin(store)
        finally:
            store.close()

    def begin(self, store: Store) -> Restored:
        """Begin the epoch: drop what was queued, forget what was settled, erase again, write it down."""
        audit = AuditLog(store, environment=self._environment, code_version=self._code_version)
        with store.write() as conn:
            now = store.now(conn)
            last_run = conn.execute(select(func.max(run.c.id))).scalar_one() or 0
            begin_locked_epoch(conn, self._epoch, after_run=last_run, reason=LOCK_REASON, now=now)
            # plans before operations, as a release locks them
            unused = (PlanState.DRAFT, PlanState.WAITING, PlanState.READY, PlanState.APPROVED)
            conn.execute(update(plan).where(plan.c.state.in_(unused)).values(state=PlanState.STALE))
            dropped = conn.execute(
                update(operation)
                .where(operation.c.state.in_((State.READY.value, State.CLAIMED.value)))
                .values(state=State.SUPERSEDED.value, reason="EPOCH_BEGUN", lease_until=None, changed_at=now)
            ).rowcount
            conn.execute(
                update(operation)
                .where(operation.c.state == State.SENDING.value)
                .values(state=State.UNKNOWN.value, reason="UNKNOWN_OUTCOME", lease_until=None, changed_at=now)
            )
            unknown = len(
                conn.execute(
                    select(operation.c.id).where(operation.c.state.in_((State.UNKNOWN.value, State.ACCEPTED.value)))
                ).all()
            )
            conn.execute(
                update(run)
                .where(run.c.state == RunState.RUNNING.value)
                .values(state=RunState.FAILED.value, finished_at=now, sentence=INTERRUPTED)
            )
            conn.execute(delete(scope_memo))
            self._keep_stops(conn)
            erased_again = erase_again(conn, self._erased)
            self._write_down(conn, audit, dropped=dropped, unknown=unknown, erased=erased_again)
            epoch = get_epoch(conn)
        LOG.warning("epoch.begun", epoch=epoch, dropped_count=dropped, unknown_count=unknown)
        return Restored(
            epoch=epoch,
            dropped=dropped,
            unknown=unknown,
            erased_again=erased_again,
            kept_as=None,
            is_old_known=self._standing is not None,
        )

    def _keep_stops(self, conn: Connection) -> None:
        """A stop that a person gave after the backup outlives it."""
        for stop in self._standing.stops if self._standing is not None else ():
            conn.execute(delete(sending_stop).where(sending_stop.c.city == stop["city"]))
            conn.execute(insert(sending_stop).values(**stop))

    def _write_down(self, conn: Connection, audit: AuditLog, *, dropped: int, unknown: int, erased: int) -> None:
        audit.append_many(
            conn,
            [
                Deed(
                    action="backup.restored",
                    actor=self._actor,
                    object_type="backup",
                    object_id=f"backup:{self._manifest.sha256[:32]}",
                    outcome="applied",
                    counts={"erased_again": erased, "from_epoch": self._manifest.epoch},
                ),
                Deed(
                    action="epoch.begun",
                    actor=self._actor,
                    object_type="epoch",
                    object_id=f"epoch:{self._epoch}",
                    reason="EPOCH_BEGUN",
                    outcome="decided",
                    counts={"dropped": dropped, "unknown": unknown},
                ),
            ],
        )
