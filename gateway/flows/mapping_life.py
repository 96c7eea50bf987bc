"""The life of the school's rules as people move it: drafted, proposed, back-tested, activated, rolled back.

The mapping file counts by itself until the first draft; what counted then becomes version 1, so that there is always
something to roll back to. Each act is one audit entry with its reason. Activation changes what counts and nothing that
stands: what was sent keeps its version's value, or is corrected by a plan that a person lets out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, literal, select, update

from gateway.access.policy import Action
from gateway.access.scope import Principal
from gateway.audit.deed import Deed
from gateway.audit.notes import Note, write_note
from gateway.domain.errors import ConfigurationError, PlanRefusedError, SecondPersonError
from gateway.flows.approval import judge_second, require_fresh
from gateway.flows.gateway import Gateway
from gateway.flows.reach import is_word_still
from gateway.flows.vouched import NEEDS_ACCOUNTS, WORD_IS_NONE, is_vouched
from gateway.mapping.dictionaries import load_subjects
from gateway.mapping.patterns import find_costly
from gateway.mapping.rules import Rules, everything_on, parse_rules, rule_version
from gateway.mapping.rules_text import write_entry
from gateway.mapping.tables import mapping_version, rule_binding
from gateway.mapping.versions import (
    Version,
    VersionState,
    add_step,
    add_version,
    find_active,
    find_former,
    get_rules,
    get_source,
    get_version,
    load_steps,
    move_version,
)
from gateway.queue.states import IN_FLIGHT
from gateway.queue.tables import operation
from gateway.reconcile.bindings import BOUND_KINDS, bind_delivered
from gateway.reconcile.joins import same_record
from gateway.reconcile.plan import PlanState
from gateway.reconcile.tables import plan, record


class Activated(msgspec.Struct, frozen=True, kw_only=True):
    """What an activation did.

    Attributes:
        number: The version that counts now.
        former: The one that counted before.
        correcting: Records that the next plan proposes to correct, each after a person has let it out.
    """

    number: int
    version: str
    former: int
    correcting: int


def draft_version(gateway: Gateway, source: str, *, name: str, reason: str) -> Version:
    """Store a draft; the first one makes what counts today version 1, and the file a form for drafts from then on.

    Args:
        gateway: The composed gateway.
        source: The TOML.
        name: What to call it in an error, e.g. the file's name.
        reason: What it changes and why, as typed.

    Returns:
        The draft; the active version where the text says what counts anyway.

    Raises:
        ConfigurationError: The rules are wrong, or a version of them is in its life already.
        PlanRefusedError: No reason.
    """
    return store_draft(gateway, source, parse_rules(source, name), reason=reason)


def store_draft(gateway: Gateway, source: str, rules: Rules, *, reason: str) -> Version:
    """Store rules as a draft with the text that stands for them.

    Raises:
        ConfigurationError: A version of exactly these rules is in its life already, or a new pattern could hang a process.
        PlanRefusedError: No reason.
    """
    _require(reason)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        active = _start(conn, gateway, place_id)
        _refuse_costly(rules, get_rules(conn, active.version))
        meant = load_subjects(conn, place_id, everything_on(rules) if gateway.opens_scope else rules)
        now = gateway.store.now(conn)
        if active.version == rule_version(meant):
            return active
        note = write_note(conn, reason, now=now)
        drafted = add_version(conn, place_id, meant, source, actor=gateway.actor.name, note_id=note.id, now=now)
        gateway.audit.append(conn, _deed(gateway, drafted, action="mapping.drafted", note=note))
        return drafted


def map_value(gateway: Gateway, name: str, local: str, city: str, *, reason: str, number: int | None = None) -> Version:
    """Draft what counts, or another version, with one more entry of a dictionary.

    Args:
        gateway: The composed gateway.
        name: subjects, classes, forms, words, passes, or items.
        local: The school's value.
        city: What it leads to.
        reason: Why, as typed.
        number: The version to go on from, so that several values make one draft; None = the one that counts.

    Raises:
        ConfigurationError: No such dictionary or version, a value that the rules refuse, or no text to write it into.
        PlanRefusedError: No reason.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        base = find_active(conn, place_id) if number is None else get_version(conn, place_id, number)
        source = gateway.mapping_source if base is None else get_source(conn, base.id)
    text = write_entry(source, name, local, city)
    return store_draft(gateway, text, parse_rules(text, "mapping.toml"), reason=reason)


def propose_version(gateway: Gateway, number: int, *, reason: str) -> Version:
    """Put a draft before those who may activate it; what the machine's user has proposed an account proposes once more.

    Raises:
        PlanRefusedError: No reason, or it is no draft.
        ConfigurationError: There is no such version.
    """
    _require(reason)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        found = get_version(conn, place_id, number)
        # the word of nobody who is vouched for is repeated by an account, and is that account's from then on
        is_repeated = (
            found.state is VersionState.PROPOSED
            and gateway.actor.is_authenticated
            and not is_vouched(found.proposed_by or "")
        )
        if found.state is not VersionState.DRAFT and not is_repeated:
            raise PlanRefusedError(
                f"Предлагают черновик, а версия {number} уже {found.state.value}", reason="WRONG_STATE"
            )
        note = write_note(conn, reason, now=now)
        move_version(conn, found.id, VersionState.PROPOSED, proposed_by=gateway.actor.name)
        add_step(conn, found.id, "proposed", actor=gateway.actor.name, note_id=note.id, now=now)
        gateway.audit.append(conn, _deed(gateway, found, action="mapping.proposed", note=note))
        return get_version(conn, place_id, number)


def withdraw_version(gateway: Gateway, number: int, *, reason: str) -> Version:
    """End a draft or a proposal that will not be activated.

    Raises:
        PlanRefusedError: No reason, or it is active or over.
    """
    _require(reason)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        found = get_version(conn, place_id, number)
        if found.state not in (VersionState.DRAFT, VersionState.PROPOSED):
            raise PlanRefusedError(
                f"Версия {number} {found.state.value}: снимают черновик или предложение", reason="WRONG_STATE"
            )
        note = write_note(conn, reason, now=now)
        move_version(conn, found.id, VersionState.DEPRECATED)
        add_step(conn, found.id, "withdrawn", actor=gateway.actor.name, note_id=note.id, now=now)
        gateway.audit.append(conn, _deed(gateway, found, action="mapping.withdrawn", note=note))
        return get_version(conn, place_id, number)


def activate_version(
    gateway: Gateway,
    number: int,
    *,
    reason: str,
    principal: Principal | None,
    since: datetime | None = None,
    with_refused: bool = False,
) -> Activated:
    """Let a version count that another person has proposed.

    Args:
        gateway: The composed gateway.
        number: A proposed version with a fresh back-test of exactly its rules against those that count.
        reason: Why, as typed.
        principal: The account that activates; None = nobody who is vouched for, and his word is none.
        since: What was sent at or after this moment is corrected; None = it counts for new records only.
        with_refused: Also where records that go today would be refused.

    Raises:
        PlanRefusedError: No reason, a day to come, no fresh log-in, not proposed, no fresh back-test, or newly refused
            records that were not named.
        SecondPersonError: No account activates or none has proposed it; or it is the same person, who may not alone or
            not yet.
    """
    _require(reason)
    _refuse_to_come(gateway, since)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        now = gateway.store.now(conn)
        # in this order: who was overtaken finds his version active, and not his test against rules that just ended
        active = _start(conn, gateway, place_id)
        found = get_version(conn, place_id, number)
        _refuse_early(gateway, found, active, now=now, with_refused=with_refused)
        is_alone = _judge_person(conn, gateway, found, principal, now)
    return _switch(
        gateway, place_id, found, active, action="mapping.activated", reason=reason, since=since, is_alone=is_alone
    )


def roll_back(gateway: Gateway, *, reason: str, since: datetime | None = None, number: int | None = None) -> Activated:
    """Let the version count again that was active before: at once, without a back-test, as it has proven itself.

    Args:
        gateway: The composed gateway.
        reason: Why, as typed.
        since: As for `activate_version`: what was sent since is corrected.
        number: A version that has counted before, by name; None = the one before, never one that was rolled back.

    Raises:
        PlanRefusedError: No reason, a day to come, nothing was active before, or the named version never was or is now.
        ConfigurationError: There is no version of that number.
    """
    _require(reason)
    _refuse_to_come(gateway, since)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        active = find_active(conn, place_id)
        former = find_former(conn, place_id) if number is None else get_version(conn, place_id, number)
        if active is None:
            raise PlanRefusedError(
                "Возвращаться не к чему: прежних действовавших версий правил нет", reason="NOTHING_THERE"
            )
        if former is None:
            raise PlanRefusedError(
                f"До версии {active.number} ничего не действовало, а отменённую возвратом без номера не включают: "
                "gateway mapping list, затем gateway mapping rollback --to НОМЕР",
                reason="WRONG_STATE",
            )
        if former.state is not VersionState.DEPRECATED or former.activated_at is None:
            why = "и так действует" if former.state is VersionState.ACTIVE else "ещё не действовала"
            raise PlanRefusedError(
                f"Версия {former.number} {why}: возвращают ту, что уже действовала", reason="WRONG_STATE"
            )
    return _switch(gateway, place_id, former, active, action="mapping.rolled_back", reason=reason, since=since)


def _start(conn: Connection, gateway: Gateway, place_id: int) -> Version:
    """The active version; made of what counts today where there is none."""
    active = find_active(conn, place_id)
    if active is not None:
        return active
    rules = load_subjects(conn, place_id, gateway.rules)
    now = gateway.store.now(conn)
    started = add_version(
        conn,
        place_id,
        rules,
        gateway.mapping_source,
        actor=gateway.actor.name,
        note_id=None,
        now=now,
        is_active=True,
    )
    gateway.audit.append(conn, _deed(gateway, started, action="mapping.started"))
    return started


def _switch(
    gateway: Gateway,
    place_id: int,
    found: Version,
    active: Version,
    *,
    action: str,
    reason: str,
    since: datetime | None,
    is_alone: bool = False,
) -> Activated:
    # before it counts: until then a binding only says what is so anyway
    correcting = bind_delivered(
        gateway.store, place_id, active.version, correct=found.id if since is not None else None, since=since
    )
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        _bind_in_flight(conn, place_id, active.version)
        ended = conn.execute(
            update(mapping_version)
            .where(mapping_version.c.id == active.id, mapping_version.c.state == VersionState.ACTIVE.value)
            .values(state=VersionState.DEPRECATED.value)
        ).rowcount
        if not ended:
            raise PlanRefusedError(
                "Правила только что сменил другой человек: gateway mapping list", reason="WRONG_STATE"
            )
        begun = conn.execute(
            update(mapping_version)
            .where(mapping_version.c.id == found.id, mapping_version.c.state == found.state.value)
            .values(state=VersionState.ACTIVE.value, activated_at=now)
        ).rowcount
        if not begun:
            raise PlanRefusedError(
                f"Версию {found.number} только что сняли: gateway mapping list", reason="WRONG_STATE"
            )
        conn.execute(
            update(plan)
            .where(
                plan.c.place_id == place_id,
                plan.c.state.in_((PlanState.WAITING, PlanState.READY)),
                plan.c.rule_version != found.version,
                plan.c.undoes.is_(None),  # it puts back what stood, by whatever rules
            )
            .values(state=PlanState.STALE)
        )
        note = write_note(conn, reason, now=now)
        add_step(
            conn, found.id, action.partition(".")[2], actor=gateway.actor.name, note_id=note.id, since=since, now=now
        )
        counts = {"number": found.number, "former": active.number, "correcting": correcting}
        if is_alone:
            counts["alone"] = 1
        gateway.audit.append(conn, _deed(gateway, found, action=action, note=note, counts=counts))
    return Activated(number=found.number, version=found.version, former=active.number, correcting=correcting)


def _bind_in_flight(conn: Connection, place_id: int, former: str) -> None:
    """What is out in the city and not yet proven there was made by the rules that end now."""
    flying = (
        select(
            operation.c.place_id,
            operation.c.kind,
            operation.c.ref,
            literal(former).label("rule_version"),
            record.c.digest.label("facts"),
        )
        .select_from(
            operation.join(
                record,
                same_record(record, operation),
            ).outerjoin(
                rule_binding,
                same_record(rule_binding, operation),
            )
        )
        .where(
            operation.c.place_id == place_id,
            operation.c.kind.in_([kind.value for kind in BOUND_KINDS]),
            operation.c.op != "delete",
            operation.c.state.in_([state.value for state in IN_FLIGHT]),
            rule_binding.c.ref.is_(None),
        )
        .distinct()
    )
    conn.execute(rule_binding.insert().from_select(["place_id", "kind", "ref", "rule_version", "facts"], flying))


def _refuse_early(gateway: Gateway, found: Version, active: Version, *, now: datetime, with_refused: bool) -> None:
    if found.state is not VersionState.PROPOSED:
        raise PlanRefusedError(
            f"Версия {found.number} не предложена: gateway mapping propose {found.number}",
            reason="WRONG_STATE",
        )
    tested = found.backtest
    ask = f"gateway mapping backtest {found.number}"
    if tested is None or tested["version"] != found.version:
        raise PlanRefusedError(f"Версия {found.number} не проверена на записях: {ask}", reason="NOT_TESTED")
    if tested["against"] != active.version:
        raise PlanRefusedError(f"Проверка была против других действующих правил: {ask}", reason="NOT_TESTED")
    if datetime.fromisoformat(tested["at"]) < now - timedelta(hours=gateway.settings.school.backtest_fresh_hours):
        raise PlanRefusedError(f"Проверка устарела: {ask}", reason="NOT_TESTED")
    if tested["unread"]:
        raise PlanRefusedError(
            f"Проверка неполная: {tested['unread']} групп города не прочитано; {ask}", reason="NOT_TESTED"
        )
    if tested["newly_refused"] and not with_refused:
        raise PlanRefusedError(
            f"Перестанут уходить записей: {tested['newly_refused']} (gateway mapping show {found.number}); "
            "всё равно включить: --with-refused",
            reason="NOT_TESTED",
        )


def _judge_person(
    conn: Connection, gateway: Gateway, found: Version, principal: Principal | None, now: datetime
) -> bool:
    """Whether it is the proposer, who may activate alone and later where the school has only one approver.

    Raises:
        PlanRefusedError: No fresh log-in.
        SecondPersonError: He may not; or one of the two words is nobody's who is vouched for.
    """
    if principal is None:
        raise SecondPersonError(NEEDS_ACCOUNTS)
    require_fresh(gateway, principal, now)
    if found.proposed_by is None or not is_vouched(found.proposed_by):
        raise SecondPersonError(
            "Версия предложена без учётной записи, а включают двое: предложите ещё раз, "
            f"gateway mapping propose {found.number} --as ЛОГИН"
        )
    if not is_word_still(gateway, conn, found.proposed_by, Action.MAPPING_PROPOSE):
        raise SecondPersonError(WORD_IS_NONE)
    proposed_at = max(one.at for one in load_steps(conn, found.id) if one.step == "proposed")
    words = "Своё предложение включает другой человек"
    return judge_second(conn, gateway, principal, found.proposed_by, proposed_at, words=words)


def _refuse_to_come(gateway: Gateway, since: datetime | None) -> None:
    """Refuse to correct what was sent since a day that is yet to come: nothing would be, and it would look done."""
    if since is not None and since > gateway.now():
        raise PlanRefusedError("Исправлять с этого дня нечего: он ещё не наступил", reason="DAY_OUT_OF_REACH")


def _refuse_costly(rules: Rules, counting: Rules) -> None:
    """Refuse a new pattern that could hang whatever tries it; what counts already is not asked anew."""
    known = {rule.pattern for rule in counting.items}
    for number, rule in enumerate(rules.items, start=1):
        why = None if rule.pattern in known else find_costly(rule.pattern)
        if why is not None:
            raise ConfigurationError(f"Правила не приняты: items.{number}.pattern: {why}")


def _require(reason: str) -> None:
    if not reason.strip():
        raise PlanRefusedError("Правила без причины не меняют: --reason", reason="REASON_MISSING")


def _deed(
    gateway: Gateway,
    version: Version,
    *,
    action: str,
    note: Note | None = None,
    counts: dict[str, int] | None = None,
) -> Deed:
    return Deed(
        action=action,
        actor=gateway.actor,
        originator=gateway.originator,
        place=gateway.place,
        object_type="mapping",
        object_id=f"mapping:{version.number}",
        rule_version=version.version,
        outcome="decided",
        counts=counts,
        note=note,
    )


__all__ = [
    "Activated",
    "activate_version",
    "draft_version",
    "map_value",
    "propose_version",
    "roll_back",
    "store_draft",
    "withdraw_version",
]
