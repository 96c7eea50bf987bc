"""Backup: one checked file and its manifest, made while everything else goes on.

The manifest says what the file must prove later: whose it is, of which epoch and schema, how far the audit had come,
and the file's SHA-256. `check_backup` proves it without touching any database.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from gateway import __version__
from gateway.audit.checkpoint import Checkpoint, load_checkpoint
from gateway.audit.deed import STREAMS, Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.read import verify
from gateway.domain.clock import Clock
from gateway.domain.errors import ConfigurationError, GatewayError
from gateway.store import backup as copies
from gateway.store import schema
from gateway.store.place import load_instance
from gateway.store.transaction import Store
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
FORMAT = 1
LONGEST_DUMP = "12h"
"""How long PostgreSQL keeps the snapshot for pg_dump; a night's backup is over by then."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup file is.

    Attributes:
        audit: Stream → how many entries it had and the hash of the last.
        made_at: Aware UTC.
        sha256: Of the file, 64 hex digits.
    """

    format: int
    dialect: str
    instance_id: str
    epoch: int
    revision: str
    audit: dict[str, Checkpoint]
    made_at: datetime
    code_version: str
    size_bytes: int
    sha256: str


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check proved; `sentence` is for the operator."""

    manifest: Manifest
    sentence: str


def manifest_path(path: Path) -> Path:
    """Where the manifest of a backup file stands."""
    return path.with_name(f"{path.name}.manifest.json")


def make_backup(store: Store, audit: AuditLog, path: Path, *, actor: Actor) -> BackupReport:
    """Write a backup, check it, and write its manifest and the audit entry.

    Args:
        store: The live database.
        audit: The log.
        path: A file that does not exist yet: a good older copy is never risked for a new one.
        actor: Who.

    Raises:
        ConfigurationError: The file exists, or a tool is missing.
        GatewayError: The copy was not written or is damaged; nothing is left of it.
    """
    if path.exists():
        raise ConfigurationError(f"Файл {path.name} уже есть: копия пишется только под новым именем")
    part = path.with_name(f"{path.name}.part")
    try:
        facts = _copy_sqlite(store, part) if store.dialect == "sqlite" else _copy_postgresql(store, part)
        copies.sync_file(part)
        manifest = msgspec.structs.replace(facts, sha256=copies.hash_file(part), size_bytes=part.stat().st_size)
        copies.make_private(manifest_path(path))
        manifest_path(path).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        part.replace(path)
        copies.sync_file(path)
    except OSError as exc:
        raise GatewayError("Копия не записана: проверьте место на диске и права") from exc
    finally:
        part.unlink(missing_ok=True)
    with store.write() as conn:
        audit.append(
            conn,
            Deed(
                action="backup.made",
                actor=actor,
                object_type="backup",
                object_id=f"backup:{manifest.sha256[:32]}",
                outcome="confirmed",
                counts={"bytes": manifest.size_bytes, "epoch": manifest.epoch},
            ),
        )
    LOG.info("backup.made", epoch=manifest.epoch, byte_count=manifest.size_bytes)
    return BackupReport(manifest=manifest, sentence=f"Копия записана и проверена, {manifest.size_bytes} байт")


def check_backup(path: Path, clock: Clock) -> BackupReport:
    """Prove that a backup can be restored: bytes, pages, references, and for SQLite both audit chains to their heads.

    Raises:
        ConfigurationError: File or manifest is missing or is something else.
        GatewayError: The copy is damaged.
    """
    manifest = read_manifest(path)
    if copies.find_dialect(path) != manifest.dialect or copies.hash_file(path) != manifest.sha256:
        raise GatewayError(f"Копия {path.name} повреждена: файл не тот, что описан при записи")
    if manifest.dialect == "postgresql":
        count = sum(1 for line in copies.list_dump(path) if " TABLE DATA " in line)
        return BackupReport(
            manifest=manifest,
            sentence=f"Копия цела по сумме и оглавлению, таблиц {count}; содержимое проверит пробное восстановление",
        )
    copies.check_sqlite(path)
    copy = Store(copies.open_copy(path), clock)
    try:
        for stream in STREAMS:
            head = manifest.audit[stream]
            report = verify(copy, stream, checkpoints=[head] if head.count else ())
            if not report.ok:
                raise GatewayError(f"Копия {path.name}: {report.sentence}")
    finally:
        copy.close()
    entries = sum(head.count for head in manifest.audit.values())
    return BackupReport(manifest=manifest, sentence=f"Копия цела: страницы, ссылки и {entries} записей аудита")


def read_manifest(path: Path) -> Manifest:
    """Read the manifest beside a backup file.

    Raises:
        ConfigurationError: It is missing or of another format.
    """
    try:
        return msgspec.json.decode(manifest_path(path).read_bytes(), type=Manifest)
    except OSError as exc:
        raise ConfigurationError(f"Нет описи {manifest_path(path).name}: без неё копия не проверяется") from exc
    except msgspec.MsgspecError as exc:
        raise ConfigurationError(f"Опись {manifest_path(path).name} не разобрана") from exc


def _copy_sqlite(store: Store, part: Path) -> Manifest:
    copies.copy_sqlite(store.engine, part)
    copies.check_sqlite(part)
    copy = Store(copies.open_copy(part), store.clock)
    try:
        # read from the copy and not from the live database, which has gone on meanwhile
        with copy.read() as conn:
            return _facts(conn, store, schema.current_revision(copy.engine))
    finally:
        copy.close()


def _copy_postgresql(store: Store, part: Path) -> Manifest:
    with store.read() as conn:
        # this session only waits for pg_dump, which for a database of years takes longer than any other may stand idle
        conn.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_DUMP}'"))
        snapshot = conn.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        facts = _facts(conn, store, schema.current_revision(store.engine))
        copies.dump_postgresql(store.engine, part, schema=copies.load_schema_name(conn), snapshot=snapshot)
    copies.list_dump(part)
    return facts


def _facts(conn: Connection, store: Store, revision: str | None) -> Manifest:
    instance = load_instance(conn)
    return Manifest(
        format=FORMAT,
        dialect=store.dialect,
        instance_id=instance.instance_id,
        epoch=instance.epoch,
        revision=revision or "",
        audit={stream: load_checkpoint(conn, stream) for stream in STREAMS},
        made_at=store.now(),
        code_version=__version__,
        size_bytes=0,
        sha256="",
    )
