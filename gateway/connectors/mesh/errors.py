"""What the city's refusals mean: from an answer to the error class that says what to do next.

Between `Answer` and everything above. The city's own sentence is compared with known ones and then forgotten: it may
name a pupil, so only our sentence from the table goes on. A code inside HTTP 200 counts as the status (some servers
of this platform answer so).

Source: city-journal.md §1.4, §7.3, §7.4; reliability.md A6–A18.
"""

from __future__ import annotations

from datetime import datetime
from typing import Never, TypedDict

import msgspec

from gateway.connectors.http import Answer
from gateway.connectors.mesh import SYSTEM
from gateway.connectors.retry import parse_retry_after
from gateway.connectors.strict_json import parse_json
from gateway.domain.errors import (
    AccessDeniedError,
    ContractError,
    IncompleteReadError,
    LockedPeriodError,
    OutcomeUnknownError,
    RejectedError,
    StaleError,
    ThrottledError,
    UnavailableError,
)
from gateway.domain.reasons import NO_CITY_CALL

SESSION_ENDED = "предыдущая сессия работы"
PERIOD_WORDS = ("период", "закрыт")
ABSENCE_EXISTS_WORDS = ("пропуск", "уже существует")
FINAL_EXISTS_WORDS = ("отметка", "уже существует")
NO_METHOD = "method does not exist"

_THROTTLED = (429, 433)
_OUT_OF_ORDER_BELOW_500 = (408, 425, 499)  # 499: regional servers answer so when their own back end fails (S11)

# `{type, description}` of the partner API that shares this code base, as the status it stands for (§3).
_STATUS_OF_TYPE = {
    "apiRequestLimit": 429,
    "apiServerError": 500,
    "apiUnknownError": 500,
    "apiResourceUnavailable": 503,
    "apiMethodNotSupported": 405,
    "invalidRequest": 400,
    "parameterInvalid": 400,
    "authorizationInvalidToken": 401,
    "authorizationTokenRequired": 401,
    "authorizationFailed": 401,
    "authorizationOutOfScope": 403,
    "authorizationNotOwner": 403,
    "authorizationOwnerForbidden": 403,
    "authorizationSystemForbidden": 403,
}

# Words of the city's sentence → our sentence. All words must occur; the first row that fits wins.
_KNOWN_REFUSALS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("не состоит", "групп"), "ученик не состоит в группе на дату урока"),
    (("не назначен", "групп"), "учитель не ведёт эту группу и не заменяет на этом уроке"),
    (("урок отмен",), "урок отменён"),
    (("ещё не состоялся",), "урок ещё не состоялся"),
    (("форма контроля",), "форма контроля не подходит"),
    (("система оценивания",), "система оценивания не та"),
    (("недопустим", "отметк"), "значение отметки вне шкалы"),
    (("недопустим", "вес"), "такой вес не допускается"),
    (("уже существует",), "такая запись уже есть"),
    (("раньше даты выдачи",), "срок домашнего задания раньше дня выдачи"),
    (("не указаны ученики",), "у домашнего задания нет учеников"),
    (("предмет не соответствует",), "предмет не тот, что у группы"),
    (("не переданы поля",), "объект передан не целиком"),
    (("не найден",), "ученик, урок, группа или форма контроля там не найдены"),
    (("не принадлежит",), "токен от другого профиля"),
    (("не указан профиль",), "не указан профиль"),
    (("подсистема", "недоступна"), "подсистема недоступна: mesh.subsystem"),
    (("учебный год",), "учебный год запроса не тот"),
)


# A 403 that is about who asks and not about the record: it would refuse every record of the profile.
_PROFILE_REFUSALS = (("профиль", "не принадлежит"), ("не указан профиль",), ("подсистема", "недоступна"))


class Where(TypedDict):
    """Keyword arguments of every ConnectorError."""

    system: str
    method: str
    request_id: str
    status: int | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, as far as an error may tell.

    Attributes:
        is_write: The call may have changed the city.
        is_change: A PUT or DELETE of an object by its id.
        profile: Name of the profile that asked.
    """

    method: str
    is_write: bool
    request_id: str
    profile: str
    is_change: bool = False

    def where(self, status: int | None) -> Where:
        """The fields that a ConnectorError carries."""
        return {"system": SYSTEM, "method": self.method, "request_id": self.request_id, "status": status}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A no, in whatever shape it came. The message is for comparing only and goes nowhere.

    Attributes:
        code: HTTP status, or the code inside the body where the status said 200.
        message: Lower case.
        is_page: The body is a page for people; what refused may be any box on the way.
        is_spoken: The body is the city's own (an object, or nothing at all), not a web server's text.
        may_help_to_renew: The session itself is refused, not only its rights.
    """

    code: int
    message: str = ""
    is_page: bool = False
    is_spoken: bool = True
    may_help_to_renew: bool = False

    def says(self, *words: str) -> bool:
        """Whether all the words occur in the message."""
        return all(word in self.message for word in words)


def find_refusal(answer: Answer) -> Refusal | None:
    """Recognise a refusal in an answer; None when it is a yes (or no JSON at all, which the reader of the body meets).

    Pure; knows the status, `{"code", "message"}` also inside HTTP 200, `{"type", "description"}`, and pages.
    """
    if answer.is_html:
        return Refusal(code=answer.status, is_page=True, is_spoken=False, may_help_to_renew=answer.status == 401)
    tree = _parsed(answer.body)
    fields = tree if isinstance(tree, dict) else {}
    code = answer.status
    text = fields.get("message")
    if code < 400:
        code = _code_inside(fields) or code
        if code < 300:
            return None
    if isinstance(fields.get("type"), str) and "description" in fields:
        code = 429 if fields["type"] == "apiRequestLimit" else code
        text = fields["description"]
    message = text.casefold() if isinstance(text, str) else ""
    is_session = SESSION_ENDED in message or (code == 401 and "apikey" not in fields)
    return Refusal(
        code=401 if is_session else code,
        message=message,
        is_spoken=isinstance(tree, dict) or not answer.body.strip(),
        may_help_to_renew=is_session,
    )


def _parsed(body: bytes) -> object:
    try:
        return parse_json(body)
    except ValueError:
        return None


def _code_inside(fields: dict[str, object]) -> int | None:
    """The code of an error body under HTTP 200. An object with an id is an object, whatever else it has."""
    if "id" in fields:
        return None
    code, kind = fields.get("code"), fields.get("type")
    if isinstance(code, int) and not isinstance(code, bool) and code >= 400:
        return code
    if isinstance(kind, str) and "description" in fields:
        return _STATUS_OF_TYPE.get(kind, 500)
    message = fields.get("message")
    if isinstance(message, str) and SESSION_ENDED in message.casefold():
        return 401
    return None


def raise_refusal(refusal: Refusal, asked: Asked, answer: Answer, now: datetime) -> Never:
    """Raise what the refusal means.

    Raises:
        ConnectorError: Of the class whose recovery fits; see city-journal.md §7.4.
    """
    where = asked.where(refusal.code)
    if refusal.code in _THROTTLED or refusal.says("apirequestlimit"):
        wait_s = parse_retry_after(answer.headers.get("retry-after"), now)
        raise ThrottledError(f"Журнал просит подождать {wait_s:g} с", retry_after_s=wait_s, **where)
    if refusal.code == 401:
        raise AccessDeniedError(
            f"Журнал не принимает профиль «{asked.profile}»: "
            + ("сессия завершена, войдите заново" if refusal.may_help_to_renew else "нет права на этот раздел"),
            is_session_dead=refusal.may_help_to_renew,
            profile=asked.profile,
            **where,
        )
    if refusal.is_page or refusal.code >= 500 or refusal.code < 400 or refusal.code in _OUT_OF_ORDER_BELOW_500:
        raise_no_answer(f"Журнал не работает или ответил страницей (код {refusal.code})", asked, refusal.code)
    if refusal.says(*PERIOD_WORDS):
        raise LockedPeriodError("Журнал: период закрыт для редактирования", **where)
    is_about_profile = any(refusal.says(*words) for words in _PROFILE_REFUSALS)
    if refusal.code == 403 and (is_about_profile or not asked.is_write):
        raise AccessDeniedError(
            f"Журнал: профилю «{asked.profile}» это запрещено ({_sentence(refusal)})",
            profile=asked.profile,
            **where,
        )
    if asked.is_write:
        _raise_write_refusal(refusal, asked)
    raise ContractError(f"Журнал не понял запрос (код {refusal.code}): {_sentence(refusal)}", **where)


def _raise_write_refusal(refusal: Refusal, asked: Asked) -> Never:
    where = asked.where(refusal.code)
    if refusal.code == 405 or _is_method_missing(refusal):
        raise RejectedError(f"Журнал не умеет такую операцию ({asked.method})", reason=NO_CITY_CALL, **where)
    if refusal.code == 409:
        raise StaleError("Журнал: запись с тех пор изменена другим человеком", **where)
    if refusal.code == 404 and asked.is_change:
        raise StaleError("Журнал: записи больше нет", **where)
    raise RejectedError(f"Журнал отказал (код {refusal.code}): {_sentence(refusal)}", **where)


def raise_no_answer(sentence: str, asked: Asked, status: int | None) -> Never:
    """Raise for an answer that says nothing about what happened: RETRY for a read, VERIFY for a write."""
    kind = OutcomeUnknownError if asked.is_write else UnavailableError
    raise kind(sentence, **asked.where(status))


def raise_unreadable(sentence: str, asked: Asked, status: int | None) -> Never:
    """Raise for a yes whose body can't be read: the read is discarded, the write's outcome must be looked up."""
    kind = OutcomeUnknownError if asked.is_write else IncompleteReadError
    raise kind(sentence, **asked.where(status))


def is_absence_there(refusal: Refusal) -> bool:
    """Whether a refused absence is one that stands there already (V8, S1's exact case)."""
    return refusal.code == 403 and refusal.says(*ABSENCE_EXISTS_WORDS)


def is_final_there(refusal: Refusal) -> bool:
    """Whether a refused final mark is one that stands there already (V9); its value is for the read-back to compare."""
    return refusal.code == 400 and refusal.says(*FINAL_EXISTS_WORDS)


def is_object_gone(refusal: Refusal) -> bool:
    """Whether a refused DELETE found nothing to delete, and not a server without that method."""
    return refusal.code == 404 and not _is_method_missing(refusal)


def _is_method_missing(refusal: Refusal) -> bool:
    """A 404 of the path and not of the object: a web server's own text, or the words of S12."""
    return refusal.code == 404 and (refusal.says(NO_METHOD) or not refusal.is_spoken)


def _sentence(refusal: Refusal) -> str:
    for words, sentence in _KNOWN_REFUSALS:
        if refusal.says(*words):
            return sentence
    return "причина не из известных"
