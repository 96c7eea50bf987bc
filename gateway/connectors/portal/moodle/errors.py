"""What Moodle's refusals mean, decided by `errorcode` alone.

Between the client's answers and the error tree. HTTP says 200 nearly always; the PHP class in `exception` moved in 4.5
and the message is translated and may name people, so neither is read nor repeated.

Source: portal-and-planner.md §a.1 [M], [S].
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from gateway.connectors.http import Answer
from gateway.connectors.retry import parse_retry_after
from gateway.domain.errors import (
    AccessDeniedError,
    ConnectorError,
    ContractError,
    IncompleteReadError,
    ThrottledError,
    UnavailableError,
)

DEAD_TOKEN = frozenset({"invalidtoken", "accessexception"})
"""`accessexception` is also said of a function outside the service, but those are found at start (`capability`)."""

CLASS_OF: Mapping[str, type[ConnectorError]] = {
    "invalidtoken": AccessDeniedError,
    "accessexception": AccessDeniedError,
    "nopermissions": AccessDeniedError,
    "requireloginerror": AccessDeniedError,
    "errorcoursecontextnotvalid": AccessDeniedError,
    "accessdenied": AccessDeniedError,
    "notingroup": AccessDeniedError,
    "notyourattempt": AccessDeniedError,
    "invalidlogin": AccessDeniedError,
    "servicenotavailable": AccessDeniedError,
    "usernotallowed": AccessDeniedError,
    "sitepolicynotagreed": AccessDeniedError,
    "enablewsdescription": AccessDeniedError,
    "invalidparameter": ContractError,
    "invalidextparam": ContractError,
    "invalidresponse": ContractError,
    "keyalreadyset": ContractError,
    "missingparam": ContractError,
    "codingerror": ContractError,
    "sitemaintenance": UnavailableError,
    "upgraderunning": UnavailableError,
    "dbconnectionfailed": UnavailableError,
    "dmlreadexception": UnavailableError,
    "dmlwriteexception": UnavailableError,
    "redissessionhandlerproblem": UnavailableError,
    "invalidrecord": IncompleteReadError,
    "invalidrecordunknown": IncompleteReadError,
    "nocriteriaset": IncompleteReadError,
}
"""errorcode → what to do next. A missing record is a portal that changed while it was read: that scope is discarded."""

UNKNOWN_CODE: type[ConnectorError] = IncompleteReadError
"""A code not in the table, or none at all (a PHP fault): nothing of that scope may be believed, the others go on."""

_CODE = re.compile(r"[a-z0-9_]{1,60}")
_XML_CODE = re.compile(rb"<ERRORCODE>([^<]{0,100})</ERRORCODE>")


def error_of_code(code: str, *, system: str, function: str) -> ConnectorError:
    """Build the error for a code; `""` stands for a body without one."""
    # A code is a constant word; anything else is not repeated, because it may be text with names.
    shown = code if _CODE.fullmatch(code) else "без кода" if not code else "неизвестный код"
    sentence = f"Портал отказал функции {function}: {shown}"
    found = CLASS_OF.get(code, UNKNOWN_CODE)
    if found is AccessDeniedError:
        return AccessDeniedError(
            sentence, is_session_dead=code in DEAD_TOKEN, system=system, method=function, status=200
        )
    return found(sentence, system=system, method=function, status=200)


def find_refusal(tree: object, *, system: str, function: str) -> ConnectorError | None:
    """Recognise a refusal among decoded answers: the exception shape and that of `login/token.php`."""
    if not isinstance(tree, dict):
        return None
    is_refusal = "exception" in tree or ("errorcode" in tree and "error" in tree)
    if not is_refusal:
        return None
    return error_of_code(str(tree.get("errorcode") or ""), system=system, function=function)


def find_transport_refusal(answer: Answer, *, system: str, function: str, now: datetime) -> ConnectorError | None:
    """Recognise what isn't an answer of the web service at all: statuses, pages, XML."""
    where: dict[str, Any] = {"system": system, "method": function, "status": answer.status}
    if answer.status == 429:
        wait_s = parse_retry_after(answer.headers.get("retry-after"), now)
        return ThrottledError("Портал просит подождать", retry_after_s=wait_s, **where)
    if answer.status >= 500:
        cause = "на обслуживании" if answer.status == 503 else f"ошибка сервера {answer.status}"
        return UnavailableError(f"Портал недоступен: {cause}", **where)
    if answer.status in {401, 403}:
        return AccessDeniedError(f"Портал не пускает: HTTP {answer.status}", **where)
    if answer.status != 200:
        return ContractError(f"Портал ответил HTTP {answer.status}: проверьте portal.base_url", **where)
    code = _XML_CODE.search(answer.body) if answer.body.lstrip()[:1] == b"<" else None
    if code is not None:
        return error_of_code(code[1].decode("utf-8", "replace"), system=system, function=function)
    if answer.is_html:
        return UnavailableError("Портал ответил страницей вместо данных", **where)
    return None


def incomplete(sentence: str, *, system: str, function: str) -> IncompleteReadError:
    """Build the error that discards one scope."""
    return IncompleteReadError(sentence, system=system, method=function)


def require_answered(asked: Collection[int], answered: Iterable[int], *, system: str, function: str) -> None:
    """Refuse an answer that silently left out ids or said one twice.

    Raises:
        IncompleteReadError: Moodle drops unknown and forbidden ids without a word (errors.warning_instead_of_error).
    """
    found = list(answered)
    require_unique(found, system=system, function=function)
    missing = set(asked) - set(found)
    if missing:
        raise incomplete(f"Портал промолчал о {len(missing)} из {len(set(asked))}", system=system, function=function)


def require_unique(ids: Collection[object], *, system: str, function: str) -> None:
    """Refuse an answer with repeated rows.

    Raises:
        IncompleteReadError: The list moved while it was made.
    """
    if len(set(ids)) != len(ids):
        raise incomplete("Портал прислал строку дважды", system=system, function=function)
