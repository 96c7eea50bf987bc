"""Looks of the command line: whatever prints a child's data writes an `access` entry first, and prints nothing if it can't."""

from __future__ import annotations

from collections.abc import Collection

from gateway.access.looks import note_shown
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.mapping.links import load_links
from gateway.report.whose import load_pupils_of

WHOLE_SCHOOL = "school"


def show_of(
    gateway: Gateway,
    what: str,
    *,
    within: str = WHOLE_SCHOOL,
    refs: Collection[str] = (),
    pupils: Collection[str] = (),
    city_pupils: Collection[int] = (),
) -> None:
    """Write that a command is about to show children's data.

    Args:
        what: The command, `plan_show`.
        within: How far it reaches: the school, `plan:12`, `run:3`; never a child's code.
        refs: Records that it shows; whose they are is looked up.
        pupils: Pupils whom it shows, by the portal's codes.
        city_pupils: The same by their numbers in the city.

    Raises:
        AuditError: It can't be written; then nothing is shown.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        links = load_links(conn, place_id, Kind.PERSON)
        shown = {*pupils, *load_pupils_of(conn, place_id, refs).values(), *_name(city_pupils, links)}
        note_shown(conn, gateway.audit, gateway.actor, gateway.place, shown, links, what=what, within=within)


def _name(numbers: Collection[int], links: dict[str, int]) -> set[str]:
    by_city = {number: ref for ref, number in links.items()}
    return {by_city.get(number, f"city-pupil:{number}") for number in numbers}
