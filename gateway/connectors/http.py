"""The one way out by HTTP: every call of every connector leaves through a `HttpDoor`.

Below the connectors' own protocols and above the socket. Knows nothing of any system: it sends one request, reads one
answer within a total deadline and byte caps, and says of a failed call the one thing that matters, whether anything
may have been sent. The only module that imports the HTTP library, so that its successor is one import away.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Never, Self

import httpcore
import httpx
import msgspec

from gateway.connectors.deadline import CURRENT_CALL, Call, DeadlineBackend, waited_left_s
from gateway.domain.errors import (
    ConfigurationError,
    IncompleteReadError,
    OutcomeUnknownError,
    UnavailableError,
    UnreachableError,
)

KEEPALIVE_S = (
    2.0  # shorter than servers' usual 5 s: a write on a connection that is just being closed is an unknown outcome
)
DEFAULT_BODY_BYTES = (
    64 * 1024 * 1024
)  # a year's marks of a big group are under 2 MB; this stops an endless or exploding body

QueryValue = str | int | bool

_NOTHING_SENT = (
    httpx.ConnectError,  # refused, DNS, TLS handshake
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whatever its status; only the caller's protocol knows what it means.

    Attributes:
        headers: Names in lower case; a repeated header is joined by a comma.
        body: Decoded (gzip taken off).
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float

    @property
    def is_html(self) -> bool:
        """Whether this is a page for a person (a proxy's error, a maintenance notice, a login form)."""
        return "html" in self.headers.get("content-type", "").lower() or self.body[:64].lstrip().startswith(b"<")


class HttpDoor:
    """One outside system's door: a pool of connections with a total deadline for every call.

    The library's time-outs are per phase and per read, so a dripping server holds a call for ever (reliability.md M21);
    here every socket operation gets only what is left of the call's own deadline. No redirects, no cookies (profiles
    share the pool), no proxies or netrc from the environment.

    Args:
        system: Short constant name for error fields, e.g. `mesh`.
        base_url: Scheme, host, port and path prefix; no query, no user.
        parallel: Size of the pool; further calls wait within their own deadline.
        deadline_s: Total time of one call in seconds, from the wait for a connection to the last byte.
        max_body_bytes: Cap of one decoded body; the raw one has the same cap.
        ssl_context: Trust other than the default roots.
        monotonic: Clock of the deadlines, in seconds.

    Raises:
        ConfigurationError: `base_url` is not an address of that kind.
    """

    def __init__(
        self,
        *,
        system: str,
        base_url: str,
        parallel: int = 2,
        deadline_s: float = 20.0,
        max_body_bytes: int = DEFAULT_BODY_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = system
        self._base = _checked_base(system, base_url)
        self._deadline_s = deadline_s
        self._max_body_bytes = max_body_bytes
        self._monotonic = monotonic
        # Both loggers write whole URLs, the lower one headers too: tokens and queries must not reach any log.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.Client(
            transport=_Transport(parallel, ssl_context),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    @property
    def host(self) -> str:
        """The host's name as configured, without port."""
        return self._base.host

    @property
    def is_secure(self) -> bool:
        """Whether calls travel encrypted."""
        return self._base.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine itself (a sandbox)."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def call(
        self,
        method: str,
        path: str,
        *,
        is_write: bool,
        query: Mapping[str, QueryValue] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Iterable[tuple[str, str]] | None = None,
        json_body: object | None = None,
        deadline_s: float | None = None,
        request_id: str = "",
    ) -> Answer:
        """Send one request and read the whole answer, once; nothing is retried here.

        Args:
            path: Appended to the base's path; begins with a slash.
            is_write: The call may change the other side: decides what a failure after sending is called. A POST that
                only asks is a read.
            query: Numbers and booleans are spelled `1`, `true`.
            form: Pairs for a form body; names may repeat.
            json_body: Object for a JSON body; excludes `form`.
            deadline_s: Instead of the door's own.
            request_id: For error fields only; put it in `headers` yourself where the protocol has one.

        Returns:
            The answer of any status.

        Raises:
            UnreachableError: No connection was made: nothing was sent.
            UnavailableError: A read got no whole answer.
            IncompleteReadError: A read's body is over the cap.
            OutcomeUnknownError: A write may have been sent and has no whole answer.
            ConfigurationError: The request can't be built (a header or path with forbidden characters).
        """
        budget_s = self._deadline_s if deadline_s is None else deadline_s
        waited_s = waited_left_s()
        fault = _Fault(self.system, method, request_id, is_write, budget_s)
        if waited_s is not None:
            if waited_s <= 0:
                fault.unreachable("время запроса вышло")
            budget_s = min(budget_s, waited_s)
            fault = replace(fault, budget_s=budget_s)
        started_at_s = self._monotonic()
        call = Call(until=started_at_s + budget_s, monotonic=self._monotonic)
        request = self._build(method, path, query, headers, form, json_body, budget_s)
        token = CURRENT_CALL.set(call)
        try:
            response = self._client.send(request, stream=True)
            try:
                body = self._read_body(response, call, fault)
            finally:
                response.close()
        # `from None` below: the library's own texts may repeat a URL or a header value, and a logged traceback prints them.
        except _NOTHING_SENT as exc:
            fault.unreachable(type(exc).__name__)
        except httpx.TimeoutException:
            fault.over_deadline()
        except httpx.LocalProtocolError as exc:
            if not call.is_sent:
                raise self._unbuildable(method) from None
            fault.broken(type(exc).__name__)
        except (httpx.HTTPError, httpx.StreamError, zlib.error) as exc:
            fault.broken(type(exc).__name__)
        finally:
            CURRENT_CALL.reset(token)
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            elapsed_s=self._monotonic() - started_at_s,
        )

    def close(self) -> None:
        """Close the pool."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _build(
        self,
        method: str,
        path: str,
        query: Mapping[str, QueryValue] | None,
        headers: Mapping[str, str] | None,
        form: Iterable[tuple[str, str]] | None,
        json_body: object | None,
        budget_s: float,
    ) -> httpx.Request:
        own = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "cito-gateway"}
        content: bytes | None = None
        if json_body is not None:
            own["content-type"] = "application/json"
            content = msgspec.json.encode(json_body)
        elif form is not None:
            own["content-type"] = "application/x-www-form-urlencoded"
            content = str(httpx.QueryParams(list(form))).encode()
        try:
            return self._client.build_request(
                method,
                self._base.copy_with(raw_path=(self._base.path.rstrip("/") + path).encode("ascii")),
                params=dict(query) if query else None,
                headers=own | dict(headers or {}),
                content=content,
                timeout=httpx.Timeout(budget_s),
            )
        except (httpx.InvalidURL, UnicodeError):
            raise self._unbuildable(method) from None

    def _unbuildable(self, method: str) -> ConfigurationError:
        return ConfigurationError(
            f"Запрос {method} к системе «{self.system}» не составлен: в адресе или заголовке недопустимые символы"
        )

    def _read_body(self, response: httpx.Response, call: Call, fault: _Fault) -> bytes:
        """Read within the deadline and caps; gzip is taken off here because the library's own has no cap on one chunk."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            fault.broken("неизвестное сжатие")
        inflater = None if encoding == "identity" else zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        parts: list[bytes] = []
        raw_count = decoded_count = 0
        for raw in response.iter_raw():
            if call.left_s() <= 0:
                fault.over_deadline()
            raw_count += len(raw)
            part = raw if inflater is None else inflater.decompress(raw, self._max_body_bytes - decoded_count + 1)
            decoded_count += len(part)
            if max(raw_count, decoded_count) > self._max_body_bytes:
                fault.too_big(self._max_body_bytes)
            parts.append(part)
        if inflater is not None and raw_count and not inflater.eof:
            fault.broken("сжатый ответ оборван")
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Fault:
    """Names a failed call by what may have been sent. Texts carry no address, header or body."""

    system: str
    method: str
    request_id: str
    is_write: bool
    budget_s: float

    def unreachable(self, cause: str) -> Never:
        raise UnreachableError(
            f"Соединения с системой «{self.system}» нет, ничего не отправлено ({cause})",
            system=self.system,
            method=self.method,
            request_id=self.request_id,
        ) from None

    def over_deadline(self) -> Never:
        self._after_send(f"за {self.budget_s:.3g} с нет полного ответа")

    def broken(self, cause: str) -> Never:
        self._after_send(f"ответ не дочитан ({cause})")

    def too_big(self, cap_bytes: int) -> Never:
        if self.is_write:
            self._after_send(f"ответ больше {cap_bytes} байт")
        raise IncompleteReadError(
            f"Система «{self.system}»: ответ больше {cap_bytes} байт, чтение отброшено",
            system=self.system,
            method=self.method,
            request_id=self.request_id,
        )

    def _after_send(self, cause: str) -> Never:
        kind = OutcomeUnknownError if self.is_write else UnavailableError
        raise kind(
            f"Система «{self.system}»: {cause}",
            system=self.system,
            method=self.method,
            request_id=self.request_id,
        ) from None


@cache
def _default_trust() -> ssl.SSLContext:
    """The default roots, read once: a command that opens the portal and the city should not read them twice."""
    return httpx.create_ssl_context(verify=True, trust_env=False)


class _Transport(httpx.HTTPTransport):
    """The library's transport over sockets that know the call's deadline.

    The library has no argument for the socket backend, so its pool is replaced; a test with dripping headers fails if a
    new version stops using it.
    """

    def __init__(self, parallel: int, ssl_context: ssl.SSLContext | None) -> None:
        trust = ssl_context or _default_trust()
        super().__init__(verify=trust, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            max_connections=parallel,
            max_keepalive_connections=parallel,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=DeadlineBackend(httpcore.SyncBackend()),
        )


def _checked_base(system: str, base_url: str) -> httpx.URL:
    try:
        base = httpx.URL(base_url)
    except httpx.InvalidURL:
        base = httpx.URL()
    if base.scheme not in ("http", "https") or not base.host or base.query or base.userinfo:
        raise ConfigurationError(f"Адрес системы «{system}» не годится: нужны схема http(s) и узел, без параметров")
    return base


__all__ = ["Answer", "HttpDoor", "QueryValue"]
