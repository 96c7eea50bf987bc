"""Which rules made what the city holds: a mark that was sent keeps its version's value until its record moves.

Written when another version of the rules becomes active, a chunk a transaction, before it counts: then a binding says
what is true anyway, so a crash in between changes nothing. Read by planning, scope by scope. Only kinds whose value the
rules make have bindings; whether a record may be sent at all is always the active version's word.

Source: design, "Mapping life": a mark already sent keeps its version's value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Insert, bindparam, delete, literal, select, update

from gateway.domain.identifiers import Kind
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Rules
from gateway.mapping.tables import rule_binding
from gateway.reconcile.joins import same_record
from gateway.reconcile.tables import base, intended, record
from gateway.store.transaction import Store

BOUND_KINDS = (Kind.MARK, Kind.FINAL)
"""Kinds whose value the rules make."""
_KINDS = [kind.value for kind in BOUND_KINDS]
_REFS_AT_ONCE = 500
_VALUE_FIELDS = ("forms", "words", "items", "percent", "rounding", "passes", "allow_one")
"""Rules that make a value, its weight or its form; the others say what is sent at all, when, and whose word wins."""


class Binding(msgspec.Struct, frozen=True):
    """What one record was made by.

    Attributes:
        rule_version: Rules that made what the city holds.
        is_moved: The record has moved since: the active rules count for it.
        correction_id: Version whose activation is to correct it; then the active rules count, and a person lets it out.
    """

    rule_version: str
    is_moved: bool
    correction_id: int | None


def value_rules(made_by: Rules, active: Rules) -> Rules:
    """Rules for a record that keeps its value: what makes the value of the one, everything else of the other. Pure."""
    fields = {**active.fields}
    fields.pop("mark.weight", None)
    if "mark.weight" in made_by.fields:
        fields["mark.weight"] = made_by.fields["mark.weight"]
    kept = {name: getattr(made_by, name) for name in _VALUE_FIELDS}
    return active.model_copy(update={**kept, "fields": fields})


def load_bound_versions(conn: Connection, place_id: int) -> frozenset[str]:
    """Load which versions still stand behind something that was sent; few, and none at a place without versions."""
    rows = conn.execute(select(rule_binding.c.rule_version).where(rule_binding.c.place_id == place_id).distinct())
    return frozenset(rows.scalars())


def load_bindings(conn: Connection, place_id: int, kind: Kind, scopes: Sequence[str]) -> dict[str, Binding]:
    """Load the bindings of the live records of one kind in these scopes of the school's sources, by ref."""
    found: dict[str, Binding] = {}
    for start in range(0, len(scopes), _REFS_AT_ONCE):
        rows = conn.execute(
            select(rule_binding, record.c.digest)
            .join(record, same_record(record, rule_binding))
            .where(
                record.c.place_id == place_id,
                record.c.kind == kind.value,
                record.c.scope.in_(scopes[start : start + _REFS_AT_ONCE]),
                record.c.gone.is_(None),
            )
        )
        for row in rows:
            found[row.ref] = Binding(row.rule_version, row.facts != row.digest, row.correction_id)
    return found


def load_versions_of(
    conn: Connection, place_id: int, records: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Load (kind, ref) → version for those of these records that keep their value; the others are the active version's."""
    refs = sorted({ref for _, ref in records})
    found: dict[tuple[str, str], str] = {}
    for start in range(0, len(refs), _REFS_AT_ONCE):
        rows = conn.execute(
            select(rule_binding.c.kind, rule_binding.c.ref, rule_binding.c.rule_version).where(
                rule_binding.c.place_id == place_id,
                rule_binding.c.ref.in_(refs[start : start + _REFS_AT_ONCE]),
                rule_binding.c.correction_id.is_(None),
            )
        )
        found |= {(row.kind, row.ref): row.rule_version for row in rows}
    return found


def load_correcting(conn: Connection, place_id: int, refs: Collection[str]) -> frozenset[tuple[str, str]]:
    """Load which of these records are to be corrected, as (kind, ref)."""
    listed = sorted(refs)
    found: set[tuple[str, str]] = set()
    for start in range(0, len(listed), _REFS_AT_ONCE):
        rows = conn.execute(
            select(rule_binding.c.kind, rule_binding.c.ref).where(
                rule_binding.c.place_id == place_id,
                rule_binding.c.ref.in_(listed[start : start + _REFS_AT_ONCE]),
                rule_binding.c.correction_id.is_not(None),
            )
        )
        found |= {(row.kind, row.ref) for row in rows}
    return frozenset(found)


def find_unbound(
    conn: Connection, place_id: int, kind: Kind, bindings: Mapping[str, Binding], mapped: Iterable[Mapped]
) -> frozenset[str]:
    """Find bindings that are over: their record has moved, or it is corrected.

    Args:
        mapped: What the active rules say of the scope's records.
    """
    over = {ref for ref, one in bindings.items() if one.is_moved}
    correcting = {ref for ref, one in bindings.items() if one.correction_id is not None} - over
    if correcting:
        agreed = load_agreed(conn, place_id, kind, correcting)
        over |= {
            one.ref
            for one in mapped
            if one.ref in correcting
            and one.intent is not None
            and agreed.get(one.ref) == atom_digest(atom_of_intent(one.intent))
        }
    return frozenset(over)


def load_agreed(conn: Connection, place_id: int, kind: Kind, refs: Collection[str]) -> dict[str, bytes]:
    """Load the digest of what both sides agreed on, of these records."""
    listed = sorted(refs)
    found: dict[str, bytes] = {}
    for start in range(0, len(listed), _REFS_AT_ONCE):
        rows = conn.execute(
            select(base.c.ref, base.c.digest).where(
                base.c.place_id == place_id,
                base.c.kind == kind.value,
                base.c.ref.in_(listed[start : start + _REFS_AT_ONCE]),
            )
        )
        found |= {row.ref: row.digest for row in rows}
    return found


def drop_bindings(conn: Connection, place_id: int, kind: Kind, refs: Collection[str]) -> None:
    """Let go of records that have moved, or are corrected."""
    if refs:
        conn.execute(
            delete(rule_binding).where(
                rule_binding.c.place_id == place_id,
                rule_binding.c.kind == kind.value,
                rule_binding.c.ref == bindparam("b_ref"),
            ),
            [{"b_ref": ref} for ref in sorted(refs)],
        )


def bind_delivered(store: Store, place_id: int, former: str, *, correct: int | None, since: datetime | None) -> int:
    """Bind what was delivered to the rules that made it, a scope a transaction.

    A record that waits to be changed is left out: it is to be sent anew, by whatever rules count then.

    Args:
        store: The store; nobody's transaction is open.
        place_id: Where we are.
        former: The version that counts until now; records bound to an older one stay with that.
        correct: Number of the version whose activation corrects what was agreed at or after `since`; None = nothing.
        since: Aware UTC; None with `correct` None.

    Returns:
        How many records are to be corrected.
    """
    with store.read() as conn:
        scopes = list(
            conn.execute(
                select(base.c.scope).where(base.c.place_id == place_id, base.c.kind.in_(_KINDS)).distinct()
            ).scalars()
        )
    for scope in sorted(scopes):
        with store.write() as conn:
            conn.execute(_bind_scope(place_id, scope, former))
    if correct is None or since is None:
        return 0
    total = 0
    for scope in sorted(scopes):
        sent_since = select(base.c.ref).where(
            base.c.place_id == place_id,
            base.c.scope == scope,
            base.c.kind == rule_binding.c.kind,
            base.c.verified_at >= since,
        )
        with store.write() as conn:
            total += conn.execute(
                update(rule_binding)
                .where(rule_binding.c.place_id == place_id, rule_binding.c.ref.in_(sent_since))
                .values(correction_id=correct)
            ).rowcount
    return total


def _bind_scope(place_id: int, scope: str, former: str) -> Insert:
    settled = (
        select(
            base.c.place_id,
            base.c.kind,
            base.c.ref,
            literal(former).label("rule_version"),
            record.c.digest.label("facts"),
        )
        .select_from(
            base.join(intended, same_record(intended, base))
            .join(record, same_record(record, base))
            .outerjoin(rule_binding, same_record(rule_binding, base))
        )
        .where(
            base.c.place_id == place_id,
            base.c.scope == scope,
            base.c.kind.in_(_KINDS),
            intended.c.digest == base.c.digest,
            # what was read after it was agreed on has moved, and is sent anew
            record.c.changed_at <= base.c.verified_at,
            rule_binding.c.ref.is_(None),
        )
    )
    return rule_binding.insert().from_select(["place_id", "kind", "ref", "rule_version", "facts"], settled)


__all__ = [
    "BOUND_KINDS",
    "Binding",
    "bind_delivered",
    "drop_bindings",
    "find_unbound",
    "load_agreed",
    "load_bindings",
    "load_bound_versions",
    "load_correcting",
    "load_versions_of",
    "value_rules",
]
