"""What other rules would do to the records there are: the same, changed, newly accepted, newly refused.

Pure. A record counts as accepted where the rules give it something to send and the city has not refused exactly that
before: its recorded answers are asked, not guessed.

Source: design, N10 (back-test of a proposed mapping over recorded answers).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from gateway.domain.city import Intent
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped

Outcome = Literal["same", "changed", "newly_accepted", "newly_refused"]
OUTCOMES: tuple[Outcome, ...] = ("same", "changed", "newly_accepted", "newly_refused")
CITY_REFUSED = "REJECTED_TARGET"
"""Reason of a value that the city has refused for this record before."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One record under both rules.

    Attributes:
        old_reason: Why the rules that count send nothing; empty where they send something.
        is_delivered: The city holds it: it keeps its value unless the activation says otherwise.
    """

    kind: str
    ref: str
    outcome: Outcome
    old_reason: str
    new_reason: str
    old: Intent | None
    new: Intent | None
    is_delivered: bool


def compare_rules(
    old: Iterable[Mapped],
    new: Iterable[Mapped],
    *,
    refused: Mapping[str, Collection[bytes]],
    delivered: Collection[str],
) -> Iterator[Case]:
    """Compare what two sets of rules say of the records of one scope.

    Args:
        old: By the rules that count.
        new: By the rules that are tried; of the same records.
        refused: Ref → digests of what the city has refused for it.
        delivered: Refs that the city holds.
    """
    before = {one.ref: one for one in old}
    for one in new:
        was = before.get(one.ref)
        old_digest, old_reason = _verdict(was, refused) if was is not None else (None, "UNKNOWN")
        new_digest, new_reason = _verdict(one, refused)
        yield Case(
            kind=one.kind.value,
            ref=one.ref,
            outcome=_outcome(old_digest, new_digest, is_same_reason=old_reason == new_reason),
            old_reason=old_reason,
            new_reason=new_reason,
            old=was.intent if was is not None else None,
            new=one.intent,
            is_delivered=one.ref in delivered,
        )


def _outcome(old: bytes | None, new: bytes | None, *, is_same_reason: bool) -> Outcome:
    if old is None and new is None:
        return "same" if is_same_reason else "changed"
    if old is None:
        return "newly_accepted"
    if new is None:
        return "newly_refused"
    return "same" if old == new else "changed"


def _verdict(one: Mapped, refused: Mapping[str, Collection[bytes]]) -> tuple[bytes | None, str]:
    """The digest of what would be sent, sooner or later, or None with the reason why nothing would."""
    if one.intent is None or one.state not in ("sendable", "held"):
        return None, one.reason
    digest = atom_digest(atom_of_intent(one.intent))
    return (None, CITY_REFUSED) if digest in refused.get(one.ref, ()) else (digest, "")
