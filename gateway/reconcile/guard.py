"""The brake: judges a scope's share of a plan before anything is stored as executable.

Pure. Limits are shares of the scope's base and bite only above an absolute minimum; deletes are held apart and need an
approval of their own; a scope that was never delivered asks once; an empty or short source refuses.

Source: Clever's published thresholds (hold above 10 % deleted or 75 % changed), design "reliability" §2.4.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["pass", "ask", "hold", "refuse"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers from the settings group `school`."""

    minimum_count: int
    change_ratio: float
    delete_ratio: float
    empty_source_ratio: float


class ScopeShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one scope brings to a plan.

    Attributes:
        base: Records that were delivered and verified before.
        live: Records of ours in the scope now, sendable or not.
    """

    scope: str
    base: int
    live: int
    creates: int
    changes: int
    deletes: int


class GuardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the guards' table; `override` says who may let it through."""

    guard: str
    scope: str
    limit: str
    actual: str
    verdict: Verdict
    override: str


def judge(share: ScopeShare, limits: Limits) -> list[GuardRow]:
    """Judge one scope; an empty list means that nothing was worth a line."""
    rows: list[GuardRow] = []
    if share.base > limits.minimum_count and share.live < share.base * limits.empty_source_ratio:
        rows.append(
            _row(
                "short_source",
                share,
                f"не меньше {limits.empty_source_ratio:.0%} прежнего",
                f"{share.live} из {share.base}",
                "refuse",
                "admin",
            )
        )
    if share.base == 0 and share.creates:
        rows.append(_row("first_load", share, "первое заполнение", str(share.creates), "ask", "deputy_head"))
    elif share.changes > limits.minimum_count and share.changes > share.base * limits.change_ratio:
        rows.append(
            _row(
                "change_share",
                share,
                f"не больше {limits.change_ratio:.0%}",
                f"{share.changes} из {share.base}",
                "hold",
                "deputy_head",
            )
        )
    if share.deletes:
        is_many = share.deletes > limits.minimum_count and share.deletes > share.base * limits.delete_ratio
        rows.append(
            _row(
                "delete_share" if is_many else "delete",
                share,
                f"не больше {limits.delete_ratio:.0%}" if is_many else "только с разрешения",
                f"{share.deletes} из {share.base}",
                "hold",
                "deputy_head",
            )
        )
    return rows


def _row(guard: str, share: ScopeShare, limit: str, actual: str, verdict: Verdict, override: str) -> GuardRow:
    return GuardRow(guard=guard, scope=share.scope, limit=limit, actual=actual, verdict=verdict, override=override)
