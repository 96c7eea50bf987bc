"""What a caller says about an act. The log adds when, in which epoch, by which code, and the place in the chain."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.audit.notes import Note
from gateway.domain.identifiers import Place

Stream = Literal["deeds", "access"]
STREAMS: tuple[Stream, ...] = ("deeds", "access")


class Actor(msgspec.Struct, frozen=True):
    """Who acts.

    Attributes:
        kind: A person with an account, a user of the operating system, or the gateway itself.
        name: Account id, OS user or service: a code, never a person's name.
        is_authenticated: False for an OS user: the system vouches for him, we don't.
    """

    kind: Literal["person", "os_user", "service"]
    name: str
    role: str | None = None
    is_authenticated: bool = False


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One act, in codes, ids and counts only; `redact` refuses anything else.

    Attributes:
        action: Constant, `object.past`, e.g. `operation.verified`.
        originator: On whose order the actor acts, where that is another one.
        place: The city, portal and year it concerns; kept as a digest.
        object_type: Kind of the object.
        object_id: Our own id of the object; never a person's ref.
        subject: Pseudonym of the person it concerns, from `subjects.pseudonym_of`.
        reason: Code from `domain.reasons`.
        old_digest: Salted digest of the value before, from `subjects.digest_value`.
        new_digest: Salted digest of the value after.
        city_id: Id of the object in the city.
        outcome: applied, confirmed, already_there, refused, held, undone, decided…
        counts: Counters by code, e.g. of a plan.
        note: What a person typed, from `notes.write_note`.
        source_address: Where a request came from.
    """

    action: str
    actor: Actor
    stream: Stream = "deeds"
    originator: str | None = None
    place: Place | None = None
    object_type: str | None = None
    object_id: str | None = None
    subject: str | None = None
    run_id: int | None = None
    operation_id: int | None = None
    fence: int | None = None
    plan_hash: str | None = None
    reason: str | None = None
    rule_version: str | None = None
    old_digest: str | None = None
    new_digest: str | None = None
    city_id: int | str | None = None
    outcome: str | None = None
    counts: dict[str, int] | None = None
    note: Note | None = None
    source_address: str | None = None
    request_id: str | None = None
