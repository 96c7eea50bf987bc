"""Reading a list page by page until it is proven to be whole.

Between a source and its calls. A list that only seems to be whole turns into deletes further up, so the end must be
shown: by the server's own totals, or by an empty page. A short page shows nothing, since servers shrink pages.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Never, TypeVar

from gateway.domain.errors import IncompleteReadError

MAX_PAGES_COUNT = 2000  # 2000 pages of 100 are every pupil of a district; beyond it the server goes round in circles

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page as it came.

    Attributes:
        total_count: What the server says the whole list has; None = it does not say.
        pages_count: How many pages it says there are; None = it does not say.
    """

    rows: Sequence[Row]
    total_count: int | None = None
    pages_count: int | None = None


def iter_pages(
    fetch_page: Callable[[int], Page[Row]],
    *,
    row_id: Callable[[Row], Hashable | None],
    system: str,
    may_ignore_paging: bool = False,
    max_pages_count: int = MAX_PAGES_COUNT,
) -> Iterator[Sequence[Row]]:
    """Yield pages until the list is proven whole.

    Args:
        fetch_page: Fetches the page of that number, from 1; the page size is its own matter.
        row_id: What makes a row itself; None for a row without an id (it is counted, not compared).
        system: For the error's field.
        may_ignore_paging: The list may know no pages at all and come whole every time: a second page that equals the
            first ends it.

    Raises:
        IncompleteReadError: Totals moved while reading, a row came twice, pages are missing, or there is no end.

    Source: city-journal.md §1.3; reliability.md A20, A21.
    """
    seen: set[Hashable] = set()
    first_ids: list[Hashable | None] = []
    seen_count = 0
    announced: tuple[int | None, int | None] | None = None
    for number in range(1, max_pages_count + 1):
        page = fetch_page(number)
        ids = [row_id(row) for row in page.rows]
        if number == 2 and may_ignore_paging and page.rows and ids == first_ids:
            return
        totals = (page.total_count, page.pages_count)
        if announced is not None and totals != announced:
            _refuse(system, "список менялся во время чтения")
        announced, first_ids = totals, ids
        for found in ids:
            if found is not None:
                if found in seen:
                    _refuse(system, "строка пришла дважды")
                seen.add(found)
        seen_count += len(page.rows)
        if page.rows:
            yield page.rows
        if _is_whole(page, number, seen_count, system):
            return
    _refuse(system, f"список не кончился за {max_pages_count} страниц")


def _is_whole(page: Page[Row], number: int, seen_count: int, system: str) -> bool:
    """Tell whether the end is proven after this page; refuses when it is proven to be wrong."""
    if page.total_count is not None:
        if seen_count > page.total_count:
            _refuse(system, "строк больше, чем объявлено")
        is_last = not page.rows or (page.pages_count is not None and number >= page.pages_count)
        if is_last and seen_count < page.total_count:
            _refuse(system, "строк меньше, чем объявлено")
        return seen_count == page.total_count
    if not page.rows:
        if page.pages_count is not None and number < page.pages_count:
            _refuse(system, "страниц меньше, чем объявлено")
        return True
    return page.pages_count is not None and number >= page.pages_count


def read_count(headers: Mapping[str, str], name: str) -> int | None:
    """Read a count out of a header; None when it is absent or not a plain number."""
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _refuse(system: str, cause: str) -> Never:
    raise IncompleteReadError(f"Система «{system}»: {cause}, чтение отброшено", system=system, method="GET")


__all__ = ["Page", "iter_pages", "read_count"]
