"""Coverage a class: how much of what a class's journal may hold in the city has been read whole, and how old that is.

Unknown is not absent: of what was never read whole nothing is called missing, and this says how much that is.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from gateway.connectors.port import CityDirectory
from gateway.mapping.normalise import class_key
from gateway.reconcile.shadow import city_scope
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import city_directory, scope_state


class ClassCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One class, in comparable form (`7А`).

    Attributes:
        scopes: Kinds × groups of the class in the city, of the kinds that were asked for at all.
        read: Of them, those that were read whole at least once.
        stale: Of those, the ones whose last try failed: what is known of them is older than it should be.
        oldest_at: The oldest of the last whole reads; None where nothing was read.
    """

    class_name: str
    scopes: int
    read: int
    stale: int
    oldest_at: datetime | None


def load_coverage(conn: Connection, place_id: int) -> list[ClassCoverage]:
    """Load the coverage of every class that the city's directory has, in the order of the classes.

    A kind counts from its first try on: what is never asked for is nobody's gap. Groups of several classes are of none.
    """
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    if body is None:
        return []
    rows = conn.execute(
        select(scope_state.c.scope, scope_state.c.complete_at, scope_state.c.problem).where(
            scope_state.c.place_id == place_id, scope_state.c.side == CITY_SIDE
        )
    ).all()
    tried = {row.scope: row for row in rows}
    kinds = sorted({scope.partition("|")[0] for scope in tried})
    groups = defaultdict(list)
    for group in msgspec.json.decode(body, type=CityDirectory).groups:
        if name := class_key(group.class_name):
            groups[name].append(group.id)
    found = []
    for name in sorted(groups, key=lambda one: (int("".join(filter(str.isdigit, one)) or 0), one)):
        wanted = [city_scope(kind, number) for kind in kinds for number in groups[name]]
        whole = [tried[one] for one in wanted if one in tried and tried[one].complete_at is not None]
        found.append(
            ClassCoverage(
                class_name=name,
                scopes=len(wanted),
                read=len(whole),
                stale=sum(row.problem is not None for row in whole),
                oldest_at=min((row.complete_at for row in whole), default=None),
            )
        )
    return found
