"""What an export says about an operation that a person was to type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.queue.by_hand import judge_by_hand
from gateway.queue.judge import Seen

MEANT, BASE, OTHER = b"meant", b"base", b"other"


def judged(op: str, *, cell: tuple[Seen, ...] = (), there: Seen | None = None, before: tuple[int, ...] = ()) -> Any:
    base = None if op == "create" else BASE
    digest = BASE if op == "delete" else MEANT
    found = judge_by_hand(op=op, intent_digest=digest, base_digest=base, ids_before=before, cell=cell, there=there)
    return found.state, found.city_id


@pytest.mark.parametrize(
    ("cell", "before", "expected"),
    [
        ((), (), ("again", None)),
        ((Seen(7, MEANT, False),), (), ("verified", 7)),
        ((Seen(7, MEANT, True),), (), ("again", None)),  # another record's
        ((Seen(7, OTHER, False),), (), ("superseded", None)),
        ((Seen(7, OTHER, False),), (7,), ("again", None)),  # it stood there before the list was made
        ((Seen(7, OTHER, False), Seen(8, MEANT, False)), (7,), ("verified", 8)),
        ((Seen(7, MEANT, False), Seen(8, MEANT, False)), (), ("superseded", None)),  # typed twice: a person looks
    ],
)
def test_what_was_to_be_created(cell: tuple[Seen, ...], before: tuple[int, ...], expected: Any) -> None:
    assert judged("create", cell=cell, before=before) == expected


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (Seen(7, MEANT, True), ("verified", 7)),
        (Seen(7, BASE, True), ("again", None)),
        (Seen(7, OTHER, True), ("superseded", None)),
        (None, ("superseded", None)),
    ],
)
def test_what_was_to_be_changed(there: Seen | None, expected: Any) -> None:
    assert judged("change", there=there) == expected


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, ("verified", None)),
        (Seen(7, BASE, True), ("again", None)),
        (Seen(7, OTHER, True), ("superseded", None)),
    ],
)
def test_what_was_to_be_deleted(there: Seen | None, expected: Any) -> None:
    assert judged("delete", there=there) == expected


@pytest.mark.parametrize("op", ["change", "delete"])
@pytest.mark.parametrize("digest", [MEANT, BASE])
def test_another_childs_object_proves_nothing_and_is_not_typed_at(op: str, digest: bytes) -> None:
    assert judged(op, there=Seen(7, digest, True, is_of_another=True)) == ("superseded", None)


SEEN = st.builds(Seen, st.integers(1, 4), st.sampled_from((MEANT, BASE, OTHER)), st.booleans())


@given(st.sampled_from(("create", "change", "delete")), st.lists(SEEN, max_size=4), st.sets(st.integers(1, 4)))
def test_nothing_is_proven_but_by_what_was_meant(op: str, cell: list[Seen], before: set[int]) -> None:
    unique = tuple({seen.city_id: seen for seen in cell}.values())
    there = unique[0] if unique else None

    state, city_id = judged(op, cell=unique, there=there, before=tuple(sorted(before)))

    assert state in ("verified", "again", "superseded")
    if state == "verified" and op != "delete":
        assert any(seen.city_id == city_id and seen.digest == MEANT for seen in unique)
    if state == "verified" and op == "delete":
        assert there is None
