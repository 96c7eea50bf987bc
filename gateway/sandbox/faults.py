"""Faults on request, shared by the city and the portal sandboxes.

A rule says which requests it meets and what goes wrong with them; the middleware stands between the server and the
sandbox's own application and does it. What only the application can do (a dead token, a write that lands late) is
told to it through the request's scope under `FAULT_KEY`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FAULT_KEY = "sandbox_fault"
CONTROL_PREFIX = "/__sandbox"
SLOW_S = 2.0
RETRY_AFTER_S = 1
COMMON_FAULTS = frozenset(
    {
        "drop_after_commit",
        "drop_before",
        "500",
        "502",
        "503",
        "504",
        "429",
        "html",
        "slow",
        "reset",
        "truncate",
        "duplicate_page",
        "empty_list",
        "float_ids",
        "null_names",
        "kill_token",
    }
)
NAME_KEYS = frozenset({"last_name", "first_name", "middle_name", "firstname", "lastname"})

Sleep = Callable[[float], Awaitable[object]]
Target = Callable[[Scope, bytes], str]


class FaultError(ValueError):
    """A fault rule that can't be understood."""


class Match(BaseModel):
    """Which requests a rule meets; an empty one meets all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str | None = None
    path: str | None = None

    @field_validator("path")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as exc:
                msg = "path is neither a plain part of a path nor a regular expression"
                raise ValueError(msg) from exc
        return value

    def meets(self, method: str, target: str) -> bool:
        """Tell whether a request falls under the rule; `path` is a part of the target or a regular expression."""
        if self.method not in (None, "*") and self.method.upper() != method.upper():
            return False
        return self.path is None or self.path in target or re.search(self.path, target) is not None


class FaultRule(BaseModel):
    """One thing that goes wrong: on each `every`-th met request, at most `times` times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Match = Match()
    fault: str
    every: int = Field(default=1, ge=1)
    times: int | None = Field(default=None, ge=1)
    delay_s: float | None = Field(default=None, ge=0)

    @field_validator("fault", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class Faults:
    """The rules in force and how often each has met a request. `own` names faults that the application does itself."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._known = COMMON_FAULTS | frozenset(own)
        self._rules: list[FaultRule] = []
        self._met: list[int] = []
        self._fired: list[int] = []

    def add(self, *rules: FaultRule) -> None:
        """Put rules in force, all or none.

        Raises:
            FaultError: A fault is unknown. `name:argument` is known when `name` is.
        """
        for rule in rules:
            if rule.fault not in self._known and rule.fault.split(":", 1)[0] not in self._known:
                msg = f"unknown fault {rule.fault!r}"
                raise FaultError(msg)
        for rule in rules:
            self._rules.append(rule)
            self._met.append(0)
            self._fired.append(0)

    def clear(self) -> None:
        """Lift all rules."""
        self._rules.clear()
        self._met.clear()
        self._fired.clear()

    def find_due(self, method: str, target: str) -> FaultRule | None:
        """Count this request on every rule that meets it and return the first rule that is due."""
        due: FaultRule | None = None
        for at, rule in enumerate(self._rules):
            if not rule.match.meets(method, target):
                continue
            self._met[at] += 1
            is_spent = rule.times is not None and self._fired[at] >= rule.times
            if due is None and not is_spent and self._met[at] % rule.every == 0:
                self._fired[at] += 1
                due = rule
        return due

    def described(self) -> list[dict[str, Any]]:
        """List the rules with their counts, in order of arrival."""
        return [
            {**rule.model_dump(exclude_none=True), "met": met, "fired": fired}
            for rule, met, fired in zip(self._rules, self._met, self._fired, strict=True)
        ]


class FaultMiddleware:
    """Pure ASGI middleware that makes due rules come true. The control interface is never touched."""

    def __init__(
        self, app: ASGIApp, faults: Faults, *, target: Target | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        """`target` names what a rule's path is held against when the URL says too little; it reads the whole body."""
        self._app = app
        self._faults = faults
        self._target = target
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        target = scope["path"]
        if self._target is not None:
            body = await _read_body(receive)
            receive = _replay(body, receive)
            target = self._target(scope, body)
        rule = self._faults.find_due(scope["method"], target)
        if rule is None:
            await self._app(scope, receive, send)
            return
        await self._misbehave(rule, scope, receive, send)

    async def _misbehave(self, rule: FaultRule, scope: Scope, receive: Receive, send: Send) -> None:
        scope[FAULT_KEY] = rule
        delay_s = rule.delay_s if rule.delay_s is not None else (SLOW_S if rule.fault == "slow" else 0.0)
        if delay_s:
            await self._sleep(delay_s)
        refusal = _build_refusal(rule.fault)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif rule.fault == "drop_after_commit":
            await self._capture(scope, receive)
            await _build_gateway_timeout()(scope, receive, send)
        elif rule.fault == "reset":
            await _send_half(await self._capture(scope, receive), send)
        elif rule.fault in _SPOILERS:
            captured = await self._capture(scope, receive)
            captured.body = _SPOILERS[rule.fault](captured.body)
            await captured.send_to(send)
        else:
            await self._app(scope, receive, send)

    async def _capture(self, scope: Scope, receive: Receive) -> _Captured:
        captured = _Captured()
        await self._app(scope, receive, captured.take)
        return captured


class _Captured:
    """An answer held back."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def start(self, length: int) -> Message:
        headers = [*self.headers, (b"content-length", str(length).encode())]
        return {"type": "http.response.start", "status": self.status, "headers": headers}

    async def send_to(self, send: Send) -> None:
        await send(self.start(len(self.body)))
        await send({"type": "http.response.body", "body": self.body})


async def _send_half(captured: _Captured, send: Send) -> None:
    # Returning before the promised length makes the server close the connection.
    promised = max(len(captured.body), 2)
    await send(captured.start(promised))
    await send({"type": "http.response.body", "body": captured.body[: promised // 2], "more_body": True})


def _build_gateway_timeout() -> Response:
    return HTMLResponse("<html><body><h1>504 Gateway Time-out</h1></body></html>", status_code=504)


def _build_refusal(fault: str) -> Response | None:
    """Build the answer of a fault that never reaches the application; None for all others."""
    if fault in ("drop_before", "504"):
        return _build_gateway_timeout()
    if fault == "500":
        return JSONResponse({"type": "apiServerError", "description": "Something went wrong"}, status_code=500)
    if fault == "502":
        return HTMLResponse("<html><body><h1>502 Bad Gateway</h1></body></html>", status_code=502)
    if fault == "503":
        page = "<html><body><h1>Технические работы</h1></body></html>"
        return HTMLResponse(page, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    if fault == "429":
        body = {"code": 429, "message": "Превышен лимит запросов"}
        return JSONResponse(body, status_code=429, headers={"Retry-After": str(RETRY_AFTER_S)})
    if fault == "html":
        return HTMLResponse("<html><body><h1>Войдите в систему</h1></body></html>", status_code=200)
    return None


def _spoil_truncate(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _spoil_duplicate_page(body: bytes) -> bytes:
    answer = _parse_json(body)
    if isinstance(answer, list):
        answer = answer + answer
    elif isinstance(answer, dict):
        answer = {key: value + value if isinstance(value, list) else value for key, value in answer.items()}
    else:
        return body
    return _dump_json(answer)


def _spoil_empty_list(body: bytes) -> bytes:
    return b"[]" if isinstance(_parse_json(body), list) else body


def _spoil_float_ids(body: bytes) -> bytes:
    answer = _parse_json(body)
    return body if answer is None else _dump_json(to_float_ids(answer))


def _spoil_null_names(body: bytes) -> bytes:
    answer = _parse_json(body)
    return body if answer is None else _dump_json(_to_null_names(answer))


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "truncate": _spoil_truncate,
    "duplicate_page": _spoil_duplicate_page,
    "empty_list": _spoil_empty_list,
    "float_ids": _spoil_float_ids,
    "null_names": _spoil_null_names,
}


def to_float_ids(value: Any, key: str = "") -> Any:
    """Turn every integer id (`id`, `…_id`, `…_ids[]`) into a float: 123 → 123.0 (S1, legacy control_forms)."""
    if isinstance(value, dict):
        return {name: to_float_ids(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [to_float_ids(inner, key) for inner in value]
    is_id = key == "id" or key.endswith(("_id", "_ids", "userid", "courseid"))
    return float(value) if is_id and isinstance(value, int) and not isinstance(value, bool) else value


def _to_null_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if name in NAME_KEYS else _to_null_names(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_to_null_names(inner) for inner in value]
    return value


def _parse_json(body: bytes) -> Any:
    """Parse an answer; None when it is not JSON (an error page stays as it is)."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _dump_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def build_fault_routes(faults: Faults) -> list[Route]:
    """Build the control interface of the rules: POST one rule or a list, GET them with counts, DELETE them all."""

    async def change(request: Request) -> Response:
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                body = await request.json()
                faults.add(*[FaultRule.model_validate(one) for one in (body if isinstance(body, list) else [body])])
            except (ValidationError, FaultError, json.JSONDecodeError) as exc:
                return JSONResponse({"code": 400, "message": str(exc)}, status_code=400)
        return JSONResponse(faults.described())

    return [Route(f"{CONTROL_PREFIX}/faults", change, methods=["GET", "POST", "DELETE"])]
