"""Whether the token may read all we need: asked at the start, because most lost rights are silent later.

Source: portal-and-planner.md §a.3 [M], measured capability by capability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.connectors.port import CheckLine, CheckState
from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.calls import (
    ATTEMPTS,
    ATTEMPTS_SINCE_5,
    COURSES,
    REQUIRED,
    REVIEW,
    SESSIONS,
    USERS,
    MoodleCalls,
)
from gateway.connectors.portal.moodle.client import SYSTEM
from gateway.connectors.portal.moodle.directory import fetch_course_directory
from gateway.connectors.portal.moodle.marks import item_ref, items_of
from gateway.domain.errors import AccessDeniedError, ConnectorError


def missing_functions(site: wire.SiteInfo) -> list[str]:
    """Functions we can't do without that the token's service doesn't list."""
    offered = {function.name for function in site.functions}
    missing = [name for name in REQUIRED if name not in offered]
    if ATTEMPTS not in offered and ATTEMPTS_SINCE_5 not in offered:
        missing.append(ATTEMPTS)
    return missing


def attempts_function(site: wire.SiteInfo) -> str:
    """The newer function where the site has it: since 5.0 the older one hides attempts that aren't started."""
    offered = {function.name for function in site.functions}
    return ATTEMPTS_SINCE_5 if ATTEMPTS_SINCE_5 in offered else ATTEMPTS


def may_read_attendance(site: wire.SiteInfo) -> bool:
    """Whether the attendance plugin is there and in the service."""
    return any(function.name == SESSIONS for function in site.functions)


def may_read_protocols(site: wire.SiteInfo) -> bool:
    """Whether the function that gives an attempt's review is in the service."""
    return any(function.name == REVIEW for function in site.functions)


def require_capable(calls: MoodleCalls, site: wire.SiteInfo, canary_users: Sequence[str]) -> None:
    """Refuse to read with a token that sees less than it should.

    Raises:
        AccessDeniedError: Functions are missing from the service, or known users aren't found.
    """
    missing = missing_functions(site)
    if missing:
        raise AccessDeniedError(
            f"Во внешней службе портала нет функций: {', '.join(missing)}", system=SYSTEM, method=COURSES
        )
    unseen = _unseen_canaries(calls, canary_users)
    if unseen:
        raise AccessDeniedError(
            f"Не видны {unseen} из {len(canary_users)} контрольных учётных записей: проверьте права роли на портале",
            system=SYSTEM,
            method=USERS,
        )


def _unseen_canaries(calls: MoodleCalls, canary_users: Sequence[str]) -> int:
    if not canary_users:
        return 0
    found = {user.idnumber for user in calls.fetch_users_by_idnumber(canary_users)}
    return len(set(canary_users) - found)


def iter_check(calls: MoodleCalls, canary_users: Sequence[str], *, person_id_field: str) -> Iterator[CheckLine]:
    """Lines of `gateway check` for the portal; stops at the first thing the rest depends on."""
    try:
        site = calls.fetch_site()
    except ConnectorError as exc:
        yield CheckLine(subject="portal.reachable", state=CheckState.FAILED, sentence=exc.sentence)
        return
    yield CheckLine(subject="portal.reachable", state=CheckState.OK, sentence=f"Портал отвечает: Moodle {site.release}")
    missing = missing_functions(site)
    yield CheckLine(
        subject="portal.functions",
        state=CheckState.MISSING if missing else CheckState.OK,
        sentence=f"Добавьте во внешнюю службу: {', '.join(missing)}" if missing else "Все нужные функции разрешены",
    )
    if not may_read_attendance(site):
        yield CheckLine(
            subject="portal.attendance",
            state=CheckState.WARNING,
            sentence=f"Нет функции {SESSIONS}: посещаемость и уроки из неё не читаются",
        )
    if not may_read_protocols(site):
        yield CheckLine(
            subject="portal.protocols",
            state=CheckState.WARNING,
            sentence=f"Нет функции {REVIEW}: протоколы тестов не хранятся, попытки и баллы читаются",
        )
    if missing:
        return
    try:
        yield _check_canaries(calls, canary_users)
        yield from _check_first_course(calls, person_id_field)
    except ConnectorError as exc:
        yield CheckLine(subject="portal.capability", state=CheckState.FAILED, sentence=exc.sentence)


def _check_canaries(calls: MoodleCalls, canary_users: Sequence[str]) -> CheckLine:
    subject = "portal.capability.users"
    if not canary_users:
        return CheckLine(
            subject=subject,
            state=CheckState.WARNING,
            sentence="Задайте portal.canary_users: потеря прав на портале не видна без известных учётных записей",
        )
    unseen = _unseen_canaries(calls, canary_users)
    if unseen:
        return CheckLine(subject=subject, state=CheckState.MISSING, sentence=f"Не видно контрольных записей: {unseen}")
    return CheckLine(subject=subject, state=CheckState.OK, sentence="Контрольные учётные записи видны")


def _check_first_course(calls: MoodleCalls, person_id_field: str) -> Iterator[CheckLine]:
    courses = calls.fetch_courses()
    yield CheckLine(subject="portal.courses", state=CheckState.OK, sentence=f"Курсов видно: {len(courses)}")
    directory = fetch_course_directory(calls, courses[0])
    groupid = next(iter(directory.groups))
    pupils = directory.groups[groupid][1]
    rows = calls.fetch_grades(directory.course.id, groupid)
    items = {item_ref(item.id) for row in rows for item in items_of(row)}
    yield CheckLine(
        subject="portal.capability.grades",
        state=CheckState.OK if items or not pupils else CheckState.WARNING,
        sentence=f"Первая группа первого курса: учеников {len(pupils)}, столбцов оценок {len(items)}",
    )
    users = calls.fetch_users(list(pupils))
    named = sum(
        any(field.shortname == person_id_field and field.value for field in user.customfields) for user in users
    )
    yield CheckLine(
        subject="portal.capability.person_id",
        state=CheckState.OK if named or not users else CheckState.WARNING,
        sentence=f"Поле {person_id_field} заполнено у {named} из {len(users)} учеников этой группы",
    )
