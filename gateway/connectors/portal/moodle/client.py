"""One Moodle web-service call: form out, JSON in, refusals as errors.

The lowest part of the connector, above the HTTP door. Everything is asked by POST, so that the token never stands in an
access log; all functions used only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, TypeAdapter, ValidationError

from gateway.connectors.http import HttpDoor
from gateway.connectors.pace import Pace
from gateway.connectors.portal.moodle.errors import find_refusal, find_transport_refusal
from gateway.connectors.portal.moodle.form import Argument, iter_form
from gateway.connectors.retry import Retry
from gateway.connectors.strict_json import parse_json
from gateway.domain.clock import Clock
from gateway.domain.errors import AccessDeniedError, ConfigurationError, ContractError, IncompleteReadError

ENDPOINT = "/webservice/rest/server.php"
SYSTEM = "portal"

T = TypeVar("T")


class Token:
    """The web-service token, from the settings or a file that may be replaced while we run.

    Raises:
        ConfigurationError: Neither is set, or the file can't be read.
    """

    def __init__(self, token: SecretStr | None, token_file: Path | None) -> None:
        self._file = token_file
        self._value = _read_token(token_file) if token_file is not None else (token.get_secret_value() if token else "")
        if not self._value:
            raise ConfigurationError("Нет токена портала: задайте portal.token или portal.token_file")

    @property
    def value(self) -> str:
        return self._value

    def refresh(self) -> bool:
        """Read the file again; whether the token is now another one."""
        if self._file is None:
            return False
        before, self._value = self._value, _read_token(self._file)
        return self._value != before


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigurationError("Файл portal.token_file не читается") from exc


class MoodleClient:
    """Calls web-service functions.

    Args:
        door: Where calls go out.
        token: Read again once when the portal refuses it.
        clock: For waits and `Retry-After` dates.
        pace: Waited for before each call.
        retry: Repeats reads after an outage.
    """

    def __init__(self, door: HttpDoor, token: Token, *, clock: Clock, pace: Pace, retry: Retry) -> None:
        self._door = door
        self._token = token
        self._clock = clock
        self._pace = pace
        self._retry = retry

    def close(self) -> None:
        """Close the connections."""
        self._door.close()

    def fetch(self, function: str, arguments: Mapping[str, Argument], shape: TypeAdapter[T]) -> T:
        """Call a function and read its answer as `shape`.

        Raises:
            IncompleteReadError: The answer carries warnings, or one of the codes that discard a scope.
            ContractError: The answer no longer fits the wire model, or the call was refused as malformed.
            ConnectorError: As `errors` says.
        """
        tree = self._retry.read(lambda: self._call_with_token(function, arguments))
        if isinstance(tree, dict) and tree.get("warnings"):
            raise IncompleteReadError(
                f"Портал ответил на {function} с предупреждениями ({len(tree['warnings'])})",
                system=SYSTEM,
                method=function,
            )
        try:
            return shape.validate_python(tree)
        except ValidationError as exc:
            # Places only: pydantic's own text repeats the values, and those are children's marks and names.
            places = sorted({".".join(map(str, _unnumbered(error["loc"]))) for error in exc.errors()})
            raise ContractError(
                f"Ответ портала на {function} не по форме: {', '.join(places[:5])}", system=SYSTEM, method=function
            ) from None

    def _call_with_token(self, function: str, arguments: Mapping[str, Argument]) -> object:
        try:
            return self._call(function, arguments)
        except AccessDeniedError as exc:
            if not exc.is_session_dead or not self._token.refresh():
                raise
        return self._call(function, arguments)

    def _call(self, function: str, arguments: Mapping[str, Argument]) -> object:
        self._pace.take()
        form = [
            ("wstoken", self._token.value),
            ("wsfunction", function),
            ("moodlewsrestformat", "json"),
            *iter_form(arguments),
        ]
        answer = self._door.call("POST", ENDPOINT, is_write=False, form=form)
        refusal = find_transport_refusal(answer, system=SYSTEM, function=function, now=self._clock.now())
        if refusal is not None:
            raise refusal
        try:
            tree = parse_json(answer.body)
        except ValueError:
            raise IncompleteReadError(
                f"Ответ портала на {function} оборван или не JSON", system=SYSTEM, method=function, status=answer.status
            ) from None
        refusal = find_refusal(tree, system=SYSTEM, function=function)
        if refusal is not None:
            raise refusal
        return tree


def _unnumbered(places: tuple[int | str, ...]) -> tuple[str, ...]:
    return tuple(place for place in places if isinstance(place, str))
