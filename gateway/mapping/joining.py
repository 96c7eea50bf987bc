"""Several sources' words on one thing → one canonical record, with the origin of each field, or why it waits.

Pure. The answer depends on the set of words alone, never on the order in which they were read: precedence is declared
(`mapping.sources`). A word that is stale (its source could not be read whole this time) is remembered and never wins
against a fresh one; where it differs the record waits for the next read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from gateway.domain.identifiers import source_of
from gateway.domain.reasons import SOURCE_UNREAD, SOURCES_DISAGREE
from gateway.domain.records import Record
from gateway.mapping.normalise import normal_text
from gateway.mapping.sources import FIELD_GROUPS, SAYS_NOTHING, SourceOwner, SourceRules

R = TypeVar("R", bound=Record)
Same = Callable[[Any, Any], bool]
"""Whether the words of two records on one field mean the same."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of a thing.

    Attributes:
        record: Its references to other records are canonical already.
        is_fresh: The source's scope was read whole when it was last tried.
    """

    record: Record
    is_fresh: bool = True

    @property
    def source(self) -> str:
        """The source, by the record's ref."""
        return source_of(self.record.ref)


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """One field on which two sources differ: a decision, never a silent choice.

    Attributes:
        reason: SOURCES_DISAGREE or SOURCE_UNREAD where it is held; empty where the declared precedence decided.
        winner: Ref whose word stands in the record.
        others: Refs that say something else, in order.
    """

    ref: str
    field: str
    reason: str
    owner: SourceOwner
    winner: str
    others: tuple[str, ...]


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """One thing as all its sources say it.

    Attributes:
        held: Reason why it may not be sent now; empty when it may.
    """

    record: Record
    members: tuple[str, ...]
    conflicts: tuple[Conflict, ...] = ()

    @property
    def held(self) -> str:
        """A contradiction between fresh words comes before one with a stale word: a person can act on it now."""
        found = {conflict.reason for conflict in self.conflicts}
        return SOURCES_DISAGREE if SOURCES_DISAGREE in found else SOURCE_UNREAD if SOURCE_UNREAD in found else ""


def join(words: Sequence[Word], ref: str, rules: SourceRules, *, same: Mapping[str, Same] | None = None) -> Joined:
    """Make one record of what several sources say.

    Args:
        words: At least one, of one kind, in any order; of one source any number (then its first ref speaks for it).
        ref: Canonical ref.
        rules: Declared precedence.
        same: Field → when two words mean the same; by default when they are equal.

    Raises:
        ValueError: No words, or words of several kinds.
    """
    if not words or len({word.record.kind for word in words}) > 1:
        raise ValueError("words of one thing are needed")
    ordered = sorted(words, key=lambda word: (rules.rank(word.source), word.record.ref))
    first = next((word for word in ordered if word.is_fresh), ordered[0])
    kind = first.record.kind.value
    changes: dict[str, Any] = {}
    origins = dict(first.record.origins)
    conflicts: list[Conflict] = []
    for name, fields in FIELD_GROUPS.get(kind, {}).items():
        field = f"{kind}.{name}"
        spoken = [word for word in ordered if _speaks(word.record, fields, SAYS_NOTHING.get(field, ()))]
        if not spoken:
            continue
        winner, conflict = _judge(spoken, field, fields, ref, rules, (same or {}).get(field))
        if conflict is not None:
            conflicts.append(conflict)
        if winner is not first:
            for one in fields:
                changes[one] = getattr(winner.record, one)
                if (origin := winner.record.origins.get(one) or winner.record.origins.get("*")) is not None:
                    origins[one] = origin
    if hasattr(first.record, "is_hidden"):
        # Hidden anywhere is hidden: a mark that one teacher still keeps back must not be shown by the other way.
        changes["is_hidden"] = any(getattr(word.record, "is_hidden", False) for word in ordered)
    record = msgspec.structs.replace(first.record, ref=ref, origins=origins, **changes)
    return Joined(record=record, members=tuple(word.record.ref for word in ordered), conflicts=tuple(conflicts))


def _judge(
    spoken: Sequence[Word], field: str, fields: Sequence[str], ref: str, rules: SourceRules, same: Same | None
) -> tuple[Word, Conflict | None]:
    declared = rules.of(field)
    ordered = sorted(spoken, key=lambda word: (rules.rank(word.source, field), word.record.ref))
    fresh = [word for word in ordered if word.is_fresh]
    winner = fresh[0] if fresh else ordered[0]
    others = [word for word in ordered if word is not winner and not _agree(winner.record, word.record, fields, same)]
    if not others:
        return winner, None
    fresh_others = [word for word in others if word.is_fresh]
    if declared.on_conflict == "hold":
        reason = SOURCES_DISAGREE if winner.is_fresh and fresh_others else SOURCE_UNREAD
    else:
        # Only a stale word that would have won makes the record wait; a lower one is noted and passed over.
        reason = SOURCE_UNREAD if ordered.index(winner) > min(ordered.index(word) for word in others) else ""
    return winner, Conflict(
        ref=ref,
        field=field,
        reason=reason,
        owner=declared.owner,
        winner=winner.record.ref,
        others=tuple(word.record.ref for word in others),
    )


def _speaks(record: Record, fields: Sequence[str], empty: Sequence[object]) -> bool:
    """A page that does not name the kind of work says nothing about the work, whatever else it fills in."""
    decisive = "item_name" if "item_name" in fields else fields[0]
    values = (getattr(record, decisive),) if decisive == "item_name" else (getattr(record, one) for one in fields)
    return any(value not in (None, "", (), *empty) for value in values)


def _agree(ours: Record, theirs: Record, fields: Sequence[str], same: Same | None) -> bool:
    if same is not None:
        return same(ours, theirs)
    return all(_plain(getattr(ours, one)) == _plain(getattr(theirs, one)) for one in fields)


def _plain(value: object) -> object:
    """Spelling is no contradiction."""
    return normal_text(value) if isinstance(value, str) else value


__all__ = ["Conflict", "Joined", "Same", "Word", "join"]
