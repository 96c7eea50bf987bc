"""Which lines of a plan a person lets out, named by numbers, classes, pupils of the portal and kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.flows.gateway import Gateway
from gateway.flows.holds import load_classes
from gateway.mapping.links import load_links
from gateway.mapping.normalise import class_key
from gateway.queue.approval import Choose
from gateway.reconcile.plan_choice import Choice, Wanted, choose_lines, load_waiting_lines


def build_choose(
    gateway: Gateway,
    plan_id: int,
    *,
    items: Iterable[int] = (),
    classes: Iterable[str] = (),
    pupils: Iterable[str] = (),
    kinds: Iterable[str] = (),
) -> Choose | None:
    """Make what `queue.approval.approve` asks for the lines; None where nothing is named: the whole plan.

    Args:
        gateway: The composed gateway.
        plan_id: The plan.
        items: Numbers of its lines.
        classes: As people write them.
        pupils: Codes of the portal, `user:3`; linked ones.
        kinds: Kinds of records.

    Raises:
        ConfigurationError: A class that can't be read as one, a pupil who is not linked, a kind that is not sent.
    """
    names = {name: class_key(name) for name in classes}
    if unread := [name for name, key in names.items() if not key]:
        raise ConfigurationError(f"--class: класс вида 7А, а не {unread[0]}")
    if unsent := [kind for kind in kinds if kind not in {one.value for one in SENT_KINDS}]:
        raise ConfigurationError(f"Вид {unsent[0]} в город не передаётся")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        links = load_links(conn, place_id, Kind.PERSON)
        groups = load_classes(conn, place_id)
    if unlinked := [pupil for pupil in pupils if pupil not in links]:
        raise ConfigurationError(f"Ученик {unlinked[0]} не связан с городом: gateway links list")
    wanted = Wanted(
        items=frozenset(items),
        classes=frozenset(key for key in names.values() if key),
        pupils=frozenset(links[pupil] for pupil in pupils),
        kinds=frozenset(kinds),
    )
    if wanted.is_everything:
        return None

    def choose(conn: Connection, gates: Collection[str]) -> Choice:
        return choose_lines(load_waiting_lines(conn, plan_id), wanted, gates, groups)

    return choose


__all__ = ["build_choose"]
