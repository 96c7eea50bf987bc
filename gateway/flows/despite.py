"""Whether a pair may be confirmed by hand: what contradicts it, who said so before, and whether its link is being moved.

A mark of one child in another's journal is the worst that can happen here, so a pair of which the two sides say otherwise
is confirmed only by a person who says that he has seen it, and why, and counts only once a second person has said the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, Row, select

from gateway.access.policy import Action
from gateway.access.scope import Principal
from gateway.domain.errors import PlanRefusedError, SecondPersonError
from gateway.domain.identifiers import Kind, source_of
from gateway.domain.reasons import LINK_DOUBTED, RELINKING
from gateway.flows.approval import require_fresh
from gateway.flows.gateway import Gateway
from gateway.flows.reach import is_word_still
from gateway.flows.vouched import is_vouched, require_vouched, say_alone_from
from gateway.mapping.doubts import (
    AGAINST,
    AGAINST_AT,
    AGAINST_PERSON,
    KEPT,
    SETTLED,
    Code,
    Doubt,
    doubt_against,
    settled_field,
)
from gateway.mapping.likeness import contradictions, tell
from gateway.mapping.link_doubts import StoredDoubt
from gateway.mapping.links import MACHINE, load_links
from gateway.mapping.tables import link
from gateway.reconcile.relinks import load_open_moves, load_open_profiles

_NAMES = (f"{KEPT}own_name", f"{KEPT}city_name")
_KEPT_OF: Mapping[str, tuple[str, ...]] = {
    "last_name": _NAMES,
    "first_name": _NAMES,
    "birth": (f"{KEPT}birth",),
    "class": (f"{KEPT}class",),
}
"""By which of the kept fields it is seen that a contradiction is another one than before."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a confirmation is worth.

    Attributes:
        kept: What is kept beside the link of who confirmed against the evidence; empty where nobody did.
        contradictions: Field of the evidence → `differs`.
        is_against: The pupil's records wait for a second person from now on.
        is_alone: The second person was the first one, where the school has only one.
    """

    kept: Mapping[str, str]
    contradictions: Mapping[str, str]
    is_against: bool
    is_alone: bool = False


def find_standing(conn: Connection, place_id: int, local_ref: str, city_id: int) -> Row[tuple[object, ...]] | None:
    """Find the row of exactly this link; None where it does not stand."""
    return conn.execute(
        select(link).where(
            link.c.place_id == place_id,
            link.c.kind == Kind.PERSON.value,
            link.c.local_ref == local_ref,
            link.c.city_id == str(city_id),
        )
    ).one_or_none()


def judge_pair(
    conn: Connection,
    gateway: Gateway,
    standing: Row[tuple[object, ...]] | None,
    evidence: Mapping[str, str],
    doubts: Sequence[StoredDoubt],
    *,
    despite_evidence: bool,
    reason: str,
    principal: Principal | None,
    now: datetime,
) -> Judged:
    """Say whether a pair may be confirmed, and as what.

    Args:
        standing: Its link where it stands.
        evidence: What both sides say of themselves now.
        doubts: What speaks against the link that stands.
        despite_evidence: The person has seen the contradictions.
        reason: Why it is the same child all the same.

    Raises:
        PlanRefusedError: It contradicts the evidence, and that was not said, or not why; or the second person has not proved
            his password a short while ago.
        SecondPersonError: This person has confirmed it against the evidence already, or nobody vouches for him.
    """
    found = contradictions(evidence)
    before: Mapping[str, str] = {} if standing is None else standing._mapping["evidence"]
    is_open = AGAINST in before and settled_field(Code.AGAINST) not in before
    is_later = standing is not None and bool(doubts)  # evidence that came up against a link which stands
    is_told = standing is not None and (is_later or standing._mapping["actor"] != MACHINE)
    if is_told and not is_open and not (is_later and found):
        # nothing new, or later evidence that both sides have come to agree about
        return Judged(kept={}, contradictions={}, is_against=False)
    if found and not (despite_evidence and reason.strip()):
        raise PlanRefusedError(
            f"Похоже, это другой ребёнок: {', '.join(tell(found))}. Сверьте номер: gateway links candidates. "
            "Если это точно он: --despite-evidence --reason ПОЧЕМУ; записи ученика подождут слова второго человека",
            reason=LINK_DOUBTED,
        )
    if found or is_open:
        require_vouched(gateway.actor)
    # what came up after the first word was seen by one person only: his word is then the first about it
    is_seen = is_open and not (found and _has_come_up(before, evidence, found, doubts))
    if is_seen and standing is not None and _counts(conn, gateway, standing, before[AGAINST]):
        is_alone = _judge_person(gateway, before, standing._mapping["decided_at"], principal, now)
        if principal is not None:
            require_fresh(gateway, principal, now)  # an approval like any other: a person's, who has just proved it
        # what the first person has looked at besides stays looked at
        kept = {name: value for name, value in before.items() if name.startswith(KEPT) and name.endswith(SETTLED)}
        kept |= {field: before[field] for field in (AGAINST, AGAINST_AT, AGAINST_PERSON) if field in before}
        settled = doubt_against(standing._mapping["local_ref"], int(standing._mapping["city_id"]), before[AGAINST])
        kept[settled_field(Code.AGAINST)] = settled.fingerprint.hex()
        return Judged(kept=kept, contradictions=found, is_against=False, is_alone=is_alone)
    if not found:
        return Judged(kept={}, contradictions={}, is_against=False)
    kept = {AGAINST: gateway.actor.name, AGAINST_AT: now.isoformat()}
    if principal is not None and principal.person_ref is not None:
        kept[AGAINST_PERSON] = principal.person_ref
    return Judged(kept=kept, contradictions=found, is_against=True)


def _counts(conn: Connection, gateway: Gateway, standing: Row[tuple[object, ...]], by: str) -> bool:
    """Whether the first word is one still: an account's, which could say it of this pupil today. Else this one is the first."""
    pupil = str(standing._mapping["local_ref"])
    return is_vouched(by) and is_word_still(gateway, conn, by, Action.LINKS_DECIDE, pupils=[pupil])


def _has_come_up(
    before: Mapping[str, str], evidence: Mapping[str, str], found: Mapping[str, str], doubts: Sequence[StoredDoubt]
) -> bool:
    """Whether something contradicts that did not when the first person spoke, be it told as a doubt already or only read.

    Args:
        before: What is kept of the link since his word.
        evidence: What both sides say of themselves now.
        found: What of it contradicts.
    """
    seen_anew = any(before.get(field) != evidence[field] for name in found for field in _KEPT_OF[name])
    return seen_anew or any(one.code is not Code.AGAINST for one in doubts)


def against(local_ref: str, city_id: int, kept: Mapping[str, str]) -> Doubt:
    """The doubt of a link that was confirmed against its evidence."""
    return doubt_against(local_ref, city_id, kept[AGAINST])


def refuse_join(conn: Connection, place_id: int, local_ref: str, city_id: int) -> None:
    """Refuse to make two records of the school one child against the evidence: there is no link of its own to be doubted.

    Raises:
        PlanRefusedError: The profile is linked to a record of another source.
    """
    links = load_links(conn, place_id, Kind.PERSON)
    if any(held == city_id and source_of(ref) != source_of(local_ref) for ref, held in links.items()):
        raise PlanRefusedError(
            "Номер связан с учеником другого источника школы, а по данным это другой ребёнок: исправьте данные в источнике",
            reason=LINK_DOUBTED,
        )


def refuse_while_moving(conn: Connection, place_id: int, local_ref: str, city_id: int, now: datetime) -> None:
    """Refuse to touch a link, or a profile, that a proposed correction is about to move.

    Raises:
        PlanRefusedError: There is such a proposal; names it.
    """
    number = load_open_moves(conn, place_id, now=now).get(local_ref)
    if number is None:
        number = load_open_profiles(conn, place_id, now=now).get(city_id)
    if number is not None:
        raise PlanRefusedError(
            f"Связь этого ученика исправляется, исправление {number} ждёт утверждения: gateway relinks show {number}; "
            f"передумали — gateway relinks withdraw {number} --reason ПОЧЕМУ",
            reason=RELINKING,
        )


def _judge_person(
    gateway: Gateway, before: Mapping[str, str], decided_at: datetime, principal: Principal | None, now: datetime
) -> bool:
    """Whether it is the same person, who may settle it alone and later where the school has only one.

    Raises:
        SecondPersonError: It is, and he may not.
    """
    by, person_ref = before[AGAINST], before.get(AGAINST_PERSON)
    same_person = principal is not None and person_ref is not None and principal.person_ref == person_ref
    stands_in = principal is not None and principal.originator == by
    if gateway.actor.name != by and not same_person and not stands_in:
        return False
    said_at = datetime.fromisoformat(before[AGAINST_AT]) if AGAINST_AT in before else decided_at
    may_from = said_at + timedelta(minutes=gateway.settings.access.alone_after_minutes)
    is_stale = principal is not None and (principal.proved_at is None or principal.proved_at < may_from)
    if not gateway.settings.school.single_approver or now < may_from or is_stale:
        raise SecondPersonError(
            "Связь вопреки данным подтверждают двое: первым был этот же человек"
            if not gateway.settings.school.single_approver
            else say_alone_from(gateway.local(may_from))
        )
    return True


__all__ = ["Judged", "against", "find_standing", "judge_pair", "refuse_join", "refuse_while_moving"]
