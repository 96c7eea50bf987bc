"""Pages of the sandbox's lists: 1-based `page` and `per_page`, a cap per resource, headers by switch (reference §1.3, §7.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.switches import Switches

CAPS = {"student_profiles": 100, "marks": 1000, "schedule_items": 4000}
OTHER_CAP = 300


@dataclass(frozen=True)
class Page:
    """One page of rows and the headers that go with it."""

    rows: Sequence[Row]
    headers: Mapping[str, str]


def build_page(resource: str, rows: Sequence[Row], query: Mapping[str, str], switches: Switches) -> Page | Refusal:
    """Cut a page out of all rows; without parameters the first page of the cap's size."""
    cap = CAPS.get(resource, OTHER_CAP)
    try:
        number = int(query.get("page") or 1)
        size = int(query.get("per_page") or cap)
    except ValueError:
        return Refusal(400, "page и per_page должны быть числами")
    if number < 1 or size < 1:
        return Refusal(400, "page и per_page начинаются с единицы")
    if size > cap:
        if switches.per_page == "refuse":
            return Refusal(400, f"per_page не больше {cap}")
        size = cap
    headers: dict[str, str] = {}
    if switches.paging_headers == "all" or (switches.paging_headers == "students" and resource == "student_profiles"):
        headers = {
            "pages": str(-(-len(rows) // size)),
            "pagesize": str(size),
            "total-entities": str(len(rows)),
        }
    return Page(rows[(number - 1) * size : number * size], headers)
