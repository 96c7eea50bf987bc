"""Who an entry is about: a random pseudonym in the chain, the link to the person in a table that can be erased.

The salt of a person's digests lives beside the link. Destroying both leaves entries that verify and say nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from typing import Literal

from sqlalchemy import Connection, bindparam, select, update

from gateway.audit.chain import salted_digest
from gateway.audit.table import audit_subject
from gateway.domain.errors import AuditError
from gateway.domain.identifiers import ExternalRef, Place
from gateway.store.transaction import upsert

PersonKind = Literal["pupil", "teacher", "parent", "staff"]
RandomBytes = Callable[[int], bytes]

_SALT_BYTES = 16
_LOOKUP_COUNT = 500  # refs a question; SQLite takes 32 766 variables, PostgreSQL plans such lists slowly
_SALTS = select(audit_subject.c.pseudonym, audit_subject.c.salt).where(
    audit_subject.c.pseudonym.in_(bindparam("pseudonyms", expanding=True)), audit_subject.c.salt.is_not(None)
)
_PSEUDONYMS = select(audit_subject.c.ref, audit_subject.c.pseudonym).where(
    audit_subject.c.city == bindparam("city"),
    audit_subject.c.portal == bindparam("portal"),
    audit_subject.c.year == bindparam("year"),
    audit_subject.c.kind == bindparam("kind"),
    audit_subject.c.ref.in_(bindparam("refs", expanding=True)),
)


def pseudonym_of(
    conn: Connection,
    place: Place,
    ref: str | ExternalRef,
    *,
    kind: PersonKind = "pupil",
    random: RandomBytes = secrets.token_bytes,
) -> str:
    """The person's pseudonym at a place, made at the first question: `s` and 32 hex digits.

    Args:
        conn: The caller's write transaction.
        ref: The person's record ref, spelled the same way each time.
        random: Source of pseudonym and salt.
    """
    return pseudonyms_of(conn, place, [ref], kind=kind, random=random)[str(ref)]


def pseudonyms_of(
    conn: Connection,
    place: Place,
    refs: Iterable[str | ExternalRef],
    *,
    kind: PersonKind = "pupil",
    random: RandomBytes = secrets.token_bytes,
) -> dict[str, str]:
    """As `pseudonym_of` for many people: ref → pseudonym."""
    # in one order everywhere: two transactions that make the same people crosswise would wait for each other
    wanted = sorted({str(ref) for ref in refs})
    known = _load_pseudonyms(conn, place, kind, wanted)
    missing = [ref for ref in wanted if ref not in known]
    if missing:
        rows = [
            {
                "pseudonym": f"s{random(16).hex()}",
                "city": place.city,
                "portal": place.portal,
                "year": place.year,
                "kind": kind,
                "ref": ref,
                "salt": random(_SALT_BYTES),
            }
            for ref in missing
        ]
        # another process may have made one since we looked: its row stands and is read again
        upsert(conn, audit_subject, rows, ["city", "portal", "year", "kind", "ref"], [])
        known |= _load_pseudonyms(conn, place, kind, missing)
    return known


def find_pseudonyms(
    conn: Connection, place: Place, refs: Iterable[str], *, kind: PersonKind = "pupil"
) -> dict[str, str]:
    """Pseudonyms of those who have one already: ref → pseudonym; makes none."""
    return _load_pseudonyms(conn, place, kind, list(dict.fromkeys(refs)))


def load_salts(conn: Connection, pseudonyms: Iterable[str]) -> dict[str, bytes]:
    """The salts of people not erased: pseudonym → 16 bytes, for `chain.salted_digest`."""
    wanted = list(dict.fromkeys(pseudonyms))
    salts: dict[str, bytes] = {}
    for first in range(0, len(wanted), _LOOKUP_COUNT):
        rows = conn.execute(_SALTS, {"pseudonyms": wanted[first : first + _LOOKUP_COUNT]})
        salts.update({row.pseudonym: bytes(row.salt) for row in rows})
    return salts


def digest_value(conn: Connection, pseudonym: str, value: bytes) -> str:
    """What an entry says of a value: HMAC-SHA256 under the person's salt, 64 hex digits.

    Raises:
        AuditError: The person is unknown or was erased.
    """
    salt = load_salts(conn, [pseudonym]).get(pseudonym)
    if salt is None:
        raise AuditError(f"Лицо {pseudonym} неизвестно или стёрто")
    return salted_digest(salt, value)


def erase(conn: Connection, pseudonym: str) -> None:
    """Destroy a person's link and salt. The caller appends the deed; backups and WAL keep theirs until they expire.

    Raises:
        AuditError: No such pseudonym.
    """
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA secure_delete=ON")  # else the freed bytes stay in the page
    changed = conn.execute(
        update(audit_subject).where(audit_subject.c.pseudonym == pseudonym).values(ref=None, salt=None)
    )
    if changed.rowcount != 1:
        raise AuditError(f"Лицо {pseudonym} неизвестно")


def place_digest(place: Place) -> str:
    """How an entry names a place: 32 hex digits; a portal's name may be in Cyrillic, an entry's field may not."""
    return hashlib.sha256("\x00".join((place.city, place.portal, place.year)).encode()).hexdigest()[:32]


def _load_pseudonyms(conn: Connection, place: Place, kind: str, refs: list[str]) -> dict[str, str]:
    known: dict[str, str] = {}
    where = {"city": place.city, "portal": place.portal, "year": place.year, "kind": kind}
    for first in range(0, len(refs), _LOOKUP_COUNT):
        rows = conn.execute(_PSEUDONYMS, {**where, "refs": refs[first : first + _LOOKUP_COUNT]})
        known.update({row.ref: row.pseudonym for row in rows})
    return known
