"""The ground of one planning pass: everything that is decided by, loaded once.

Shared by who plans and by who only tries other rules on the same records.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection

from gateway.connectors.port import CityDirectory, Want
from gateway.domain.identifiers import Kind
from gateway.domain.records import LessonPlan
from gateway.flows.calendar import load_year
from gateway.flows.correlate import WhoIsWho
from gateway.flows.gateway import Gateway
from gateway.flows.joint import speaking_sources
from gateway.flows.linked_scope import Ground
from gateway.flows.scopes import load_scopes
from gateway.mapping.rules import Rules, rule_version
from gateway.mapping.versions import find_last_activation, get_rules
from gateway.reconcile.bindings import load_bound_versions, value_rules
from gateway.reconcile.corrections import load_corrections
from gateway.reconcile.holds import load_holds
from gateway.reconcile.relinks import load_let_on
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.undone import load_undone


def load_ground(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    directory: CityDirectory,
    who: WhoIsWho,
    rules: Rules,
    *,
    want: Want,
    today: date,
    run_id: int,
    is_bound: bool = True,
) -> Ground:
    """Load what all groups of one pass share.

    Args:
        gateway: The composed gateway.
        conn: A read transaction.
        place_id: Where we are.
        directory: The city's directory.
        who: Who is who by these rules.
        rules: The rules that count, or that are tried.
        want: What is looked at.
        today: Moscow day of the pass.
        run_id: The run it belongs to; 0 = none.
        is_bound: What was sent keeps its version's value; False = what these rules alone would say.
    """
    stored = load_year(gateway, conn)
    bound = sorted(load_bound_versions(conn, place_id)) if is_bound else []
    return Ground(
        place_id=place_id,
        want=want,
        today=today,
        run_id=run_id,
        directory=directory,
        year=None if stored is None else stored.year,
        who=who,
        scopes=load_scopes(conn, place_id, canonical=who.joint.groups, groups=who.local_groups),
        lesson_plans=load_records(conn, place_id, LessonPlan) if Kind.TOPICS in rules.sent_kinds else (),
        corrections=load_corrections(conn, place_id),
        holds=load_holds(conn, place_id, now=gateway.store.now(conn)),
        undone=load_undone(conn, place_id),
        relinked=load_let_on(conn, place_id),
        speaking=speaking_sources(source.name for source in gateway.sources),
        rules=rules,
        rule_version=rule_version(rules),
        activation=find_last_activation(conn, place_id),
        bound={one: value_rules(get_rules(conn, one), rules) for one in bound},
        absence_reason_id=gateway.settings.mesh.absence_reason_id,
        late_text=gateway.settings.mesh.late_text,
        missed_by=gateway.store.now(conn) - timedelta(hours=gateway.settings.school.delete_grace_hours),
        now_of=gateway.store.now,
    )
