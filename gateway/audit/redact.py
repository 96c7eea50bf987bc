"""What must never be in an entry. Refusing and not masking: an entry that had to be masked is a fault of the caller.

Every text field has its own narrow pattern; none admits a space or a letter outside ASCII, so that no Russian name,
comment or typed reason gets in, and a subject is nothing but a pseudonym. Messages name the field, never the value.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.audit.deed import STREAMS, Actor, Deed
from gateway.audit.table import CODE_LENGTH
from gateway.domain.errors import AuditError

_CODE = re.compile(r"[A-Za-z0-9_.:/@+\-#|=,*~]+")
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_REASON = re.compile(r"[A-Z][A-Z0-9_]*")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUBJECT = re.compile(r"s[0-9a-f]{32}")

_TEXTS: dict[str, re.Pattern[str]] = {
    "action": _ACTION,
    "originator": _CODE,
    "object_type": _WORD,
    "object_id": _CODE,
    "subject": _SUBJECT,
    "plan_hash": _CODE,
    "reason": _REASON,
    "rule_version": _CODE,
    "old_digest": _DIGEST,
    "new_digest": _DIGEST,
    "outcome": _WORD,
    "source_address": _CODE,
    "request_id": _CODE,
}
_INTEGERS = ("run_id", "operation_id", "fence")
_LARGEST = 2**63 - 1


def is_code(text: str) -> bool:
    """Whether a text may stand in a free field of an entry."""
    return len(text) <= CODE_LENGTH and _CODE.fullmatch(text) is not None


def check_deed(deed: Deed) -> None:
    """Let a deed of codes, ids, digests and counts pass.

    Raises:
        AuditError: Anything else; names the field.
    """
    if deed.stream not in STREAMS:
        raise _refusal("stream")
    _check_actor(deed.actor)
    for name, pattern in _TEXTS.items():
        _check_text(name, getattr(deed, name), pattern, is_needed=name == "action")
    for name in _INTEGERS:
        _check_integer(name, getattr(deed, name))
    if isinstance(deed.city_id, str):
        _check_text("city_id", deed.city_id, _CODE)
    else:
        _check_integer("city_id", deed.city_id)
    for key, count in (deed.counts or {}).items():
        _check_text("counts", key, _CODE, is_needed=True)
        _check_integer("counts", count, is_needed=True)
    if deed.note is not None:
        _check_integer("note", deed.note.id, is_needed=True)
        _check_text("note", deed.note.digest, _DIGEST, is_needed=True)


def _check_actor(actor: Actor) -> None:
    if actor.kind not in ("person", "os_user", "service") or not isinstance(actor.is_authenticated, bool):
        raise _refusal("actor")
    _check_text("actor.name", actor.name, _CODE, is_needed=True)
    _check_text("actor.role", actor.role, _CODE)


def _check_text(name: str, value: Any, pattern: re.Pattern[str], *, is_needed: bool = False) -> None:
    if value is None and not is_needed:
        return
    if not isinstance(value, str) or len(value) > CODE_LENGTH or pattern.fullmatch(value) is None:
        raise _refusal(name)


def _check_integer(name: str, value: Any, *, is_needed: bool = False) -> None:
    if value is None and not is_needed:
        return
    # True would be hashed as `true` and read back as 1
    if not isinstance(value, int) or isinstance(value, bool) or not -_LARGEST <= value <= _LARGEST:
        raise _refusal(name)


def _refusal(name: str) -> AuditError:
    return AuditError(f"Запись аудита отклонена: в поле {name} не код и не номер")
