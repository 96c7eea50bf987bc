"""Support bundle: everything the gateway's developer needs of one run, operation or record, and nobody's name or mark.

Built by naming what goes in, never by taking out what must not: ids of our own rows, codes, counts and moments as they
are; people, records and cells as pseudonyms under a key of this installation, so that two bundles agree; values as kinds.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.metadata
import os
import platform
import re
import secrets
import sqlite3
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, SecretStr
from sqlalchemy import Connection, Row, select, text, update

from gateway import __version__
from gateway.audit.deed import Deed
from gateway.audit.read import AuditEntry, EntryFilter, iter_entries
from gateway.domain.errors import ConfigurationError
from gateway.flows.gateway import Gateway
from gateway.queue.tables import attempt, operation, receipt
from gateway.reconcile.tables import decision, plan, run
from gateway.store import schema
from gateway.store.metadata import gateway_instance
from gateway.store.place import load_instance

DISTRIBUTIONS = ("httpx", "pydantic", "sqlalchemy", "alembic", "dramatiq", "redis", "structlog", "msgspec", "tenacity")
ROWS_COUNT = 5_000
"""Most rows of a table in a bundle: a run of a whole school has a hundred thousand decisions, of which these tell enough."""
_DIGITS = re.compile(r"[0-9]+")
_OPERATION = re.compile(r"operation:([0-9]+)")
_KEPT_TEXTS = frozenset({"kind", "role", "absence_path", "timezone", "environment", "year", "name"})
_PERSONAL = frozenset({"profile_id"})


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: rows by table, and whether a table was cut."""

    file: str
    counts: dict[str, int]
    is_cut: bool


class Pseudonyms:
    """Names for people, records and cells that say nothing and are the same in every bundle of this installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def name(self, form: str, value: object) -> str | None:
        """`form-` and 16 hex digits; None stays None."""
        if value is None:
            return None
        digest = hmac.new(self._key, f"{form}|{value}".encode(), hashlib.sha256).hexdigest()
        return f"{form}-{digest[:16]}"

    def scope(self, scope: str) -> str:
        """A scope with its kind and its group as they are: groups are no people; whatever else is in it is not kept."""
        kind, _, rest = scope.partition("|")
        shown = [part for part in rest.split("|") if re.fullmatch(r"(city-group|course|group):[0-9]+", part)]
        hidden = len(rest.split("|")) - len(shown)
        return "|".join([kind, *shown, *([str(self.name("part", scope))] if hidden else [])])


def make_bundle(
    gateway: Gateway, target: str, path: Path, *, random: Callable[[int], bytes] = secrets.token_bytes
) -> Bundle:
    """Write the bundle of a run (its number), an operation (`operation:N`) or a record (its ref).

    Args:
        gateway: The composed gateway.
        target: What it is about.
        path: A ZIP file that does not exist yet; readable by its owner only.
        random: Source of the installation's key, made at the first bundle.

    Raises:
        ConfigurationError: There is no such thing, or the file can't be written.
    """
    with gateway.store.write() as conn:
        names = Pseudonyms(_load_key(conn, random))
        place_id = gateway.place_id(conn)
    with gateway.store.read() as conn:
        parts = _Collector(gateway, conn, names, place_id).collect(target)
    parts["settings"] = mask_settings(gateway.settings, names)
    _write(path, parts)
    counts = {name: len(rows) for name, rows in parts.items() if isinstance(rows, list)}
    with gateway.store.write() as conn:
        gateway.audit.append(
            conn,
            Deed(
                stream="access",
                action="support.bundled",
                actor=gateway.actor,
                place=gateway.place,
                object_type="bundle",
                object_id=names.name("target", target),
                outcome="applied",
                counts=counts,
            ),
        )
    return Bundle(file=path.name, counts=counts, is_cut=any(count >= ROWS_COUNT for count in counts.values()))


class _Collector:
    def __init__(self, gateway: Gateway, conn: Connection, names: Pseudonyms, place_id: int) -> None:
        self._gateway = gateway
        self._conn = conn
        self._names = names
        self._place_id = place_id

    def collect(self, target: str) -> dict[str, Any]:
        """Gather everything about the target, by table."""
        operations, decisions = self._find(target)
        ids = [row.id for row in operations]
        run_ids = sorted({row.run_id for row in operations} | ({int(target)} if _DIGITS.fullmatch(target) else set()))
        return {
            "about": self._about(target),
            "runs": [self._run(row) for row in self._rows(run, run.c.id.in_(run_ids))],
            "plans": [
                _facts(row, "id", "run_id", "state", "hash", "created_at", "expires_at", "rule_version", "epoch",
                       "counters", "by_reason", "guards", "is_dry_run", "needs_approval", "approved_at")
                for row in self._rows(plan, plan.c.run_id.in_(run_ids))
            ],
            "decisions": [self._decision(row) for row in decisions],
            "operations": [self._operation(row) for row in operations],
            "attempts": [
                {
                    **_facts(row, "operation_id", "number", "started_at", "finished_at", "outcome", "error",
                             "request_id", "status"),
                    "profile": self._names.name("profile", row.profile),
                }
                for row in self._rows(attempt, attempt.c.operation_id.in_(ids))
            ],
            "receipts": [
                _facts(row, "operation_id", "stage", "city_id", "request_id", "at")
                for row in self._rows(receipt, receipt.c.operation_id.in_(ids))
            ],
            "audit": [self._entry(entry) for entry in self._entries(run_ids, ids)],
        }  # fmt: skip

    def _find(self, target: str) -> tuple[list[Row[Any]], list[Row[Any]]]:
        here = operation.c.place_id == self._place_id
        found = _OPERATION.fullmatch(target)
        if found is not None:
            rows = self._rows(operation, here & (operation.c.id == int(found[1])))
            if not rows:
                raise ConfigurationError(f"Операции {found[1]} нет")
            same = (decision.c.plan_id == rows[0].plan_id) & (decision.c.seq == rows[0].seq)
            return rows, self._rows(decision, same)
        if _DIGITS.fullmatch(target):
            if not self._rows(run, (run.c.id == int(target)) & (run.c.place_id == self._place_id)):
                raise ConfigurationError(f"Запуска {target} нет")
            plans = select(plan.c.id).where(plan.c.run_id == int(target))
            rows = self._rows(operation, here & (operation.c.run_id == int(target)))
            return rows, self._rows(decision, decision.c.plan_id.in_(plans))
        plans = select(plan.c.id).where(plan.c.place_id == self._place_id)
        rows = self._rows(operation, here & (operation.c.ref == target))
        decisions = self._rows(decision, (decision.c.ref == target) & decision.c.plan_id.in_(plans))
        if not rows and not decisions:
            raise ConfigurationError("Такой записи нет ни в решениях, ни в очереди")
        return rows, decisions

    def _rows(self, table: Any, where: Any) -> list[Row[Any]]:
        key = list(table.primary_key)
        return list(self._conn.execute(select(table).where(where).order_by(*key).limit(ROWS_COUNT)))

    def _about(self, target: str) -> dict[str, Any]:
        instance = load_instance(self._conn)
        return {
            "format": 1,
            "target": target if _OPERATION.fullmatch(target) or _DIGITS.fullmatch(target) else self._record(target),
            "made_at": self._gateway.now(),
            "instance_id": instance.instance_id,
            "epoch": instance.epoch,
            "schema": schema.current_revision(self._gateway.store.engine),
            "gateway": __version__,
            "python": sys.version.split()[0],
            "system": platform.system(),
            "database": self._database(),
            "distributions": {name: importlib.metadata.version(name) for name in DISTRIBUTIONS},
            "place": {"portal": self._gateway.place.portal, "year": self._gateway.place.year},
        }

    def _database(self) -> str:
        if self._gateway.store.dialect == "sqlite":
            return f"sqlite {sqlite3.sqlite_version}"
        return f"postgresql {self._conn.execute(text('SHOW server_version')).scalar_one()}"

    def _run(self, row: Row[Any]) -> dict[str, Any]:
        problems = [
            {"scope": self._names.scope(str(one.get("scope", ""))), "reason": one.get("reason"),
             "where": self._names.name("record", one.get("where") or None)}
            for one in row.problems
        ]  # fmt: skip
        wanted = {name: len(row.want.get(name) or ()) for name in ("class_names", "subjects", "pupils", "kinds")}
        return {
            **_facts(row, "id", "form", "state", "started_at", "finished_at", "counters"),
            "actor": self._names.name("actor", row.actor),
            "want": {**wanted, "from_on": row.want.get("from_on"), "to_on": row.want.get("to_on")},
            "problems": problems,
        }

    def _decision(self, row: Row[Any]) -> dict[str, Any]:
        return {
            **_facts(row, "plan_id", "seq", "kind", "city_id", "category", "op", "reason", "on_date", "due_on", "gate",
                     "outcome"),
            "record": self._record(row.ref),
            "cell": self._names.name("cell", row.object_key),
            "person": self._person(row.intent or row.old),
            "scope": self._names.scope(row.scope),
            "legs": _legs(row.ours, row.base, row.theirs),
            "intent": mask_intent(row.intent),
            "old": mask_intent(row.old),
        }  # fmt: skip

    def _operation(self, row: Row[Any]) -> dict[str, Any]:
        return {
            **_facts(row, "id", "plan_id", "seq", "run_id", "kind", "op", "lane", "state", "reason", "city_id",
                     "rule_version", "epoch", "claims", "attempts", "fence", "lease_until", "sent_at", "not_before",
                     "created_at", "changed_at", "on_date", "due_on"),
            "record": self._record(row.ref),
            "cell": self._names.name("cell", row.object_key),
            "person": self._person(row.intent),
            "scope": self._names.scope(row.scope),
            "ids_before": len(row.ids_before),
            "intent": mask_intent(row.intent),
            "old": mask_intent(row.old),
        }  # fmt: skip

    def _entries(self, run_ids: Iterable[int], operation_ids: Iterable[int]) -> list[AuditEntry]:
        filters = [EntryFilter(run_id=number) for number in run_ids]
        filters += [EntryFilter(operation_id=number) for number in operation_ids]
        found: dict[tuple[str, int], AuditEntry] = {}
        for where in filters:
            for entry in iter_entries(self._gateway.store, where):
                found[entry.stream, entry.seq] = entry
                if len(found) >= ROWS_COUNT:
                    break
        return [found[key] for key in sorted(found)]

    def _entry(self, entry: AuditEntry) -> dict[str, Any]:
        kept = ("stream", "seq", "at", "epoch", "code_version", "actor_kind", "action", "object_type", "run_id",
                "operation_id", "fence", "plan_hash", "reason", "rule_version", "outcome", "counts", "request_id")  # fmt: skip
        facts = {name: getattr(entry, name) for name in kept}
        return {
            **facts,
            "actor": self._names.name("actor", entry.actor),
            "subject": self._names.name("subject", entry.subject),
            "is_value_changed": entry.old_digest != entry.new_digest,
        }

    def _record(self, ref: str | None) -> str | None:
        return self._names.name("record", ref)

    def _person(self, body: bytes | None) -> str | None:
        pupil = None if body is None else msgspec.json.decode(body).get("pupil_id")
        return self._names.name("person", pupil)


def mask_intent(body: bytes | None) -> dict[str, str] | None:
    """What an intent holds by kind: which fields, of which shape, and no value of them."""
    if body is None:
        return None
    return {name: kind_of(value) for name, value in sorted(msgspec.json.decode(body).items())}


def kind_of(value: object) -> str:
    """Name the shape of a value: a digit, a day, a text of about so many characters."""
    if value is None:
        return "none"
    if isinstance(value, bool | int | float):
        return "number"
    if isinstance(value, list):
        return f"list of {len(value)}"
    shown = str(value)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", shown):
        return "day"
    if re.fullmatch(r"[0-9]+", shown):
        return "digits"
    if re.fullmatch(r"[0-9]+[+-]", shown):
        return "digits with sign"
    length = len(shown)
    return (
        "empty"
        if not length
        else "word"
        if length <= 12 and " " not in shown
        else f"text below {2 ** length.bit_length()}"
    )


def mask_settings(model: BaseModel, names: Pseudonyms) -> dict[str, Any]:
    """Settings as far as they tell nothing: numbers, switches and words of ours; of all others only whether they are set."""
    masked: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            masked[name] = mask_settings(value, names)
        elif isinstance(value, Mapping):
            masked[name] = [mask_settings(one, names) for one in value.values() if isinstance(one, BaseModel)]
        elif name in _PERSONAL:
            masked[name] = names.name("profile", value)
        elif isinstance(value, bool | int | float) or value is None or (name in _KEPT_TEXTS and isinstance(value, str)):
            masked[name] = value
        elif isinstance(value, SecretStr):
            masked[name] = "set, secret"
        else:
            masked[name] = "set" if value else "empty"
    return masked


def _facts(row: Row[Any], *columns: str) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in columns}
    return {name: value.isoformat() if isinstance(value, datetime | date) else value for name, value in found.items()}


def _legs(ours: bytes | None, base: bytes | None, theirs: bytes | None) -> str:
    """How the three legs stand to one another, without a digest: five possible marks could be tried out."""
    seen: dict[bytes, str] = {}
    letters = ("a", "b", "c")
    return " ".join(
        f"{name}={'-' if leg is None else seen.setdefault(leg, letters[len(seen)])}"
        for name, leg in (("ours", ours), ("base", base), ("theirs", theirs))
    )


def _load_key(conn: Connection, random: Callable[[int], bytes]) -> bytes:
    key = conn.execute(select(gateway_instance.c.pseudonym_key)).scalar_one()
    if key is None:
        key = random(32)
        conn.execute(update(gateway_instance).values(pseudonym_key=key))
    return bytes(key)


def _write(path: Path, parts: Mapping[str, Any]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise ConfigurationError(f"Файл {path.name} не создаётся: он уже есть, или нет прав") from exc
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in parts.items():
                archive.writestr(f"{name}.json", msgspec.json.format(msgspec.json.encode(part), indent=1))
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise ConfigurationError(f"Файл {path.name} не записан: проверьте место на диске") from exc
