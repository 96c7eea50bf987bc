"""Reading a list page by page until it is proven to be whole.

Between a source and its calls. A list that only seems to be whole turns into deletes further up, so the end must be
shown: by the server's own totals, or by an empty page. A short page shows nothing, since servers shrink pages. Where
absence may lead to a write, a list longer than a page and without totals is read until two passes are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Never, TypeVar

from gateway.domain.errors import IncompleteReadError

MAX_PAGES_COUNT = 2000  # 2000 pages of 100 are every pupil of a district; beyond it the server goes round in circles

PASSES_COUNT = 3  # of a list that changes in every pass nothing can be concluded now; it is read again in the next run

LEAST_PAGE_COUNT = 50  # the smallest page seen of the city (city-journal.md §1.3)

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


def read_settled(
    fetch_page: Callable[[int], Page[Row]],
    *,
    row_id: Callable[[Row], Hashable | None],
    system: str,
    least_page_count: int = LEAST_PAGE_COUNT,
) -> list[Row]:
    """Read a list until it is proven whole also against rows that come and go while it is read.

    A row deleted on page 1 after that page was read moves a row of page 2 to page 1, where nobody looks any more. Totals
    show that, and a list shorter than any page is of one moment. Otherwise it is read again until two passes have the
    same rows.

    Args:
        fetch_page: See `iter_pages`, as the next two.
        row_id: …
        system: …
        least_page_count: No server shrinks a page below so many rows.

    Raises:
        IncompleteReadError: As `iter_pages`, or no two passes in a row were equal.
    """
    before: set[Hashable | None] | None = None
    for _ in range(PASSES_COUNT):
        is_counted = False

        def fetch_and_note(number: int) -> Page[Row]:
            nonlocal is_counted
            page = fetch_page(number)
            is_counted = page.total_count is not None
            return page

        pages = iter_pages(fetch_and_note, row_id=row_id, system=system)
        rows = [row for page in pages for row in page]
        ids = {row_id(row) for row in rows}
        # the short list counts in the first pass only: later it may be what deletions have left of a longer one
        if is_counted or ids == before or (before is None and len(rows) < least_page_count):
            return rows
        before = ids
    return _refuse(system, "список менялся во время чтения")


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


__all__ = ["Page", "iter_pages", "read_count", "read_settled"]
