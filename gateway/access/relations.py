"""What ties an account to a child, a class, a group or a programme, between two days.

A relation ends by its date, or by being taken back; a restricted one is known and shows nothing (a parent whose rights
the court has limited). A substitution is a teacher's relation to a group with both days, and names whom it stands in for.
"""

from __future__ import annotations

from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from gateway.access.accounts import get_account, stood, tell_who_leads
from gateway.access.office import Office
from gateway.access.roles import Tie
from gateway.access.scope import account_code, is_on
from gateway.access.tables import account_relation
from gateway.audit.deed import Deed
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Place


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """One relation; `object_ref` is a portal's ref, for a class its name."""

    id: int
    account_id: int
    tie: Tie
    object_ref: str
    begins_on: date | None
    ends_on: date | None
    is_restricted: bool
    substitutes: str | None


def give_relation(
    office: Office,
    login: str,
    tie: Tie,
    object_ref: str,
    *,
    begins_on: date | None = None,
    ends_on: date | None = None,
    is_restricted: bool = False,
    substitutes: str | None = None,
) -> Relation:
    """Tie an account to an object.

    Args:
        object_ref: `user:3` for a pupil, `group:1`, `course:2`, or a class's name (`7А`).
        substitutes: Ref of the absent colleague; such a relation has both days.

    Raises:
        ConfigurationError: No such account, days in the wrong order, or a substitution without both days.
    """
    if begins_on is not None and ends_on is not None and ends_on < begins_on:
        raise ConfigurationError("Последний день связи раньше первого")
    if substitutes is not None and (tie is not Tie.TEACHES or begins_on is None or ends_on is None):
        raise ConfigurationError("Замещение: связь teaches с первым и последним днём (--from, --to)")
    with office.store.write() as conn:
        found = get_account(conn, login)
        number: int = conn.execute(
            insert(account_relation)
            .values(
                account_id=found.id,
                city=office.place.city,
                portal=office.place.portal,
                tie=tie.value,
                object_ref=object_ref,
                begins_on=begins_on,
                ends_on=ends_on,
                is_restricted=is_restricted,
                substitutes=substitutes,
                given_at=office.store.now(conn),
            )
            .returning(account_relation.c.id)
        ).scalar_one()
        _tell(conn, office, found.id, number, action="account.relation_given")
        return next(one for one in load_relations(conn, office.place, found.id) if one.id == number)


def take_relation(office: Office, login: str, relation_id: int) -> None:
    """Take a relation back: the next request does not see through it any more.

    Raises:
        ConfigurationError: The account has no such relation.
    """
    with office.store.write() as conn:
        found = get_account(conn, login)
        taken = conn.execute(
            update(account_relation)
            .where(
                account_relation.c.id == relation_id,
                account_relation.c.account_id == found.id,
                account_relation.c.taken_at.is_(None),
            )
            .values(taken_at=office.store.now(conn))
        ).rowcount
        if not taken:
            raise ConfigurationError("У этой учётной записи такой связи нет: gateway users list")
        _tell(conn, office, found.id, relation_id, action="account.relation_taken")


def load_relations(
    conn: Connection, place: Place, account_id: int, *, on: date | None = None, as_of: datetime | None = None
) -> list[Relation]:
    """Load an account's relations at a place that are not taken back; arguments as for `accounts.load_grants`."""
    query = select(account_relation).where(
        account_relation.c.account_id == account_id,
        account_relation.c.city == place.city,
        account_relation.c.portal == place.portal,
        stood(account_relation, as_of),
    )
    if on is not None:
        query = query.where(is_on(account_relation.c.begins_on, account_relation.c.ends_on, on))
    rows = conn.execute(query.order_by(account_relation.c.id))
    return [
        Relation(
            id=row.id,
            account_id=row.account_id,
            tie=Tie(row.tie),
            object_ref=row.object_ref,
            begins_on=row.begins_on,
            ends_on=row.ends_on,
            is_restricted=row.is_restricted,
            substitutes=row.substitutes,
        )
        for row in rows
    ]


def _tell(conn: Connection, office: Office, account_id: int, relation_id: int, *, action: str) -> None:
    # the relation's number and not its object: a pupil's ref in an entry would outlive his erasure
    office.audit.append(
        conn,
        Deed(
            action=action,
            actor=office.actor,
            place=office.place,
            object_type="relation",
            object_id=f"{account_code(account_id)}/relation:{relation_id}",
            outcome="applied",
        ),
    )
    if action == "account.relation_given":
        tell_who_leads(conn, office, action, f"{account_code(account_id)}/relation:{relation_id}")
