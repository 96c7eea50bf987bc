"""The planner's books over HTTP: token, pages, and proof that a book is whole.

Below the source, above the HTTP door. Only asks (GET). A book is whole when its pages, rows and revision agree from the
first page to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from pydantic import SecretStr, ValidationError

from gateway.connectors.http import Answer, HttpDoor
from gateway.connectors.paging import Page, iter_pages
from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.books import Row
from gateway.connectors.retry import Retry, parse_retry_after
from gateway.connectors.strict_json import parse_json
from gateway.domain.clock import Clock
from gateway.domain.errors import (
    AccessDeniedError,
    ConfigurationError,
    ContractError,
    IncompleteReadError,
    ThrottledError,
    UnavailableError,
)

SYSTEM = "planner"
PAGE_ROWS = 500
"""Rows a page: a class's marks of a year are under 10 000, and a page of 500 is 100 KB."""


class HttpBooks:
    """Fetches books page by page.

    Args:
        door: Where calls go out.
        token: Bearer token; `token_file` wins and is read again once when the planner refuses it.
        clock: For `Retry-After` dates.
        retry: Repeats reads after an outage.

    Raises:
        ConfigurationError: No token.
    """

    def __init__(
        self, door: HttpDoor, *, token: SecretStr | None, token_file: Path | None, clock: Clock, retry: Retry
    ) -> None:
        self._door = door
        self._file = token_file
        self._token = _read_token(token_file) if token_file is not None else (token.get_secret_value() if token else "")
        if not self._token:
            raise ConfigurationError("Нет токена планировщика: задайте planner.token или planner.token_file")
        self._clock = clock
        self._retry = retry

    def close(self) -> None:
        """Close the connections."""
        self._door.close()

    @contextmanager
    def open(self) -> Iterator[Self]:
        """Nothing is held between calls."""
        yield self

    def iter_problems(self) -> Iterator[str]:
        """A token that travels in the clear."""
        if not self._door.is_secure and not self._door.is_loopback:
            yield "planner.door_url без https: токен и имена детей идут по сети открыто"

    def fetch_book(self, book: str, group: str | None = None) -> list[Row]:
        """Fetch a whole book.

        Raises:
            IncompleteReadError: Pages disagree, rows are missing, or the book changed meanwhile.
            ConnectorError: As its type says.
        """
        path = f"/v1/{book}" if group is None else f"/v1/groups/{quote(group, safe='')}/{book}"
        revisions: set[str] = set()

        def fetch_page(number: int) -> Page[Row]:
            page = self._retry.read(lambda: self._fetch_page(path, number))
            revisions.add(page.revision)
            if len(revisions) > 1:
                raise self._incomplete(path, "книга изменилась во время чтения")
            if (page.book, page.group, page.page) != (book, group, number):
                raise self._incomplete(path, "ответ не на тот вопрос")
            return Page(rows=page.rows, total_count=page.total, pages_count=page.pages)

        pages = iter_pages(fetch_page, row_id=lambda row: str(row.get("id")), system=SYSTEM)
        return [row for rows in pages for row in rows]

    def _fetch_page(self, path: str, number: int) -> wire.Page:
        answer = self._call(path, number)
        if answer.status == 401 and self._refresh():
            answer = self._call(path, number)
        self._refuse(answer, path)
        try:
            return wire.Page.model_validate(parse_json(answer.body))
        except ValidationError as exc:
            places = sorted(
                {".".join(str(part) for part in error["loc"] if isinstance(part, str)) for error in exc.errors()}
            )
            raise ContractError(
                f"Планировщик: {path} не по форме: {', '.join(places[:5])}", system=SYSTEM, method="GET"
            ) from None
        except ValueError:
            raise self._incomplete(path, "ответ оборван или не JSON") from None

    def _call(self, path: str, number: int) -> Answer:
        return self._door.call(
            "GET",
            path,
            is_write=False,
            query={"page": number, "size": PAGE_ROWS},
            headers={"authorization": f"Bearer {self._token}", "accept": "application/json"},
        )

    def _refuse(self, answer: Answer, path: str) -> None:
        """Turn a refusal into the error that says what to do next.

        Raises:
            ConnectorError: The answer is no page.
        """
        status = answer.status
        if status == 200 and not answer.is_html:
            return
        where = f"Планировщик: {path}, HTTP {status}"
        if status in (401, 403):
            raise AccessDeniedError(
                f"{where}: токен не принят", system=SYSTEM, method="GET", status=status, is_session_dead=status == 401
            )
        if status == 429:
            wait_s = parse_retry_after(answer.headers.get("retry-after"), self._clock.now())
            raise ThrottledError(where, retry_after_s=wait_s, system=SYSTEM, method="GET", status=status)
        if status >= 500:
            raise UnavailableError(where, system=SYSTEM, method="GET", status=status)
        raise IncompleteReadError(f"{where}: не книга", system=SYSTEM, method="GET", status=status)

    def _incomplete(self, path: str, cause: str) -> IncompleteReadError:
        return IncompleteReadError(f"Планировщик: {path}: {cause}", system=SYSTEM, method="GET")

    def _refresh(self) -> bool:
        if self._file is None:
            return False
        before, self._token = self._token, _read_token(self._file)
        return self._token != before


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigurationError("Файл planner.token_file не читается") from exc
