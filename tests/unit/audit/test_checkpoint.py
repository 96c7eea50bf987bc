"""A checkpoint comes with the entry that reaches it, follows from the chain alone, and finds what a chain can't."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from gateway.audit.chain import GENESIS, entry_hash
from gateway.audit.checkpoint import Checkpoint, Seal, find_checkpoints, find_newest_seal, iter_seals, load_checkpoint
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.merkle import Frontier
from gateway.audit.read import verify
from gateway.audit.table import audit_checkpoint, audit_entry
from gateway.domain.errors import AuditError
from gateway.store.transaction import Store

Grow = Callable[..., None]
Drop = Callable[[Store], None]


def seals_of(store: Store, stream: str = "deeds") -> list[Seal]:
    with store.read() as conn:
        return list(iter_seals(conn, stream))  # type: ignore[arg-type]  # the tests' own names


def end_run(store: Store, log: AuditLog, run_id: int) -> None:
    with store.write() as conn:
        deed = Deed(action="run.finished", actor=Actor("service", "worker"), run_id=run_id, outcome="done")
        log.append(conn, deed, is_run_end=True)


@pytest.mark.parametrize("at_once", [1, 7, 100, 350])
def test_every_hundredth_entry_is_closed_by_a_checkpoint(store: Store, grow: Grow, at_once: int) -> None:
    for first in range(1, 351, at_once):
        grow(store, min(at_once, 351 - first), first=first)

    assert [seal.size for seal in seals_of(store)] == [100, 200, 300]
    assert verify(store, "deeds").ok


def test_the_end_of_a_run_closes_both_chains_once(store: Store, log: AuditLog, grow: Grow) -> None:
    with store.write() as conn:
        log.append(conn, Deed(stream="access", action="passport.seen", actor=Actor("os_user", "root")))
    grow(store, 10)
    end_run(store, log, 9)
    end_run(store, log, 10)

    assert [(seal.size, seal.run_id, seal.epoch) for seal in seals_of(store)] == [(11, 9, 1), (12, 10, 1)]
    assert [(seal.size, seal.run_id) for seal in seals_of(store, "access")] == [(1, None)]
    assert verify(store, "deeds").ok
    assert verify(store, "access").ok


def test_a_run_that_ends_on_a_hundredth_entry_is_closed_once(store: Store, log: AuditLog, grow: Grow) -> None:
    grow(store, 99)
    end_run(store, log, 9)

    assert [seal.size for seal in seals_of(store)] == [100]


def test_a_rolled_back_entry_leaves_no_checkpoint(store: Store, log: AuditLog, grow: Grow) -> None:
    def append_and_fail() -> None:
        with store.write() as conn:
            log.append(conn, Deed(action="run.began", actor=Actor("service", "worker")), is_run_end=True)
            raise KeyError

    grow(store, 99)
    with pytest.raises(KeyError):
        append_and_fail()

    assert seals_of(store) == []


def test_no_entry_is_hashed_into_the_tree_twice(store: Store, grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[str] = []
    push = Frontier.push

    def push_and_note(tree: Frontier, leaf: str) -> None:
        pushed.append(leaf)
        push(tree, leaf)

    monkeypatch.setattr(Frontier, "push", push_and_note)

    for first in range(1, 501, 20):
        grow(store, 20, first=first)

    assert len(pushed) == len(set(pushed)) == 500


def test_what_a_chain_is_now_is_told_without_waiting_for_a_checkpoint(store: Store, grow: Grow) -> None:
    grow(store, 130)
    with store.read() as conn:
        now, newest = load_checkpoint(conn, "deeds"), find_newest_seal(conn, "deeds")
        nothing = load_checkpoint(conn, "access")
        hashes = list(conn.scalars(select(audit_entry.c.hash).order_by(audit_entry.c.seq)))

    tree = Frontier()
    for leaf in hashes:
        tree.push(leaf)
    assert (now.count, now.root, now.head_hash) == (130, tree.root(), hashes[-1])
    assert newest is not None
    assert newest.size == 100
    assert (nothing.count, nothing.head_hash) == (0, GENESIS)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_checkpoint SET root = head_hash",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_checkpoint",
        "INSERT OR REPLACE INTO audit_checkpoint SELECT * FROM audit_checkpoint",
    ],
)
def test_the_database_itself_refuses_to_change_a_checkpoint(store: Store, grow: Grow, statement: str) -> None:
    grow(store, 100)

    with pytest.raises(DBAPIError), store.write() as conn:
        conn.execute(text(statement))

    assert len(seals_of(store)) == 1


@pytest.mark.parametrize("name", ["root", "head_hash", "at", "epoch", "run_id", "frontier"])
def test_an_edit_of_any_field_of_a_checkpoint_is_found(
    store: Store, grow: Grow, drop_triggers: Drop, name: str
) -> None:
    grow(store, 250)
    drop_triggers(store)
    with store.write() as conn:
        changed: str | int = 77 if name in ("epoch", "run_id") else "e" * 27
        conn.execute(update(audit_checkpoint).where(audit_checkpoint.c.size == 200).values({name: changed}))

    assert verify(store, "deeds").first_broken_seq == 200


def test_a_removed_checkpoint_is_found(store: Store, grow: Grow, drop_triggers: Drop) -> None:
    grow(store, 250)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_checkpoint WHERE size = 100"))

    assert verify(store, "deeds").first_broken_seq == 100


def test_a_checkpoint_of_an_entry_that_is_cut_off_is_found(store: Store, grow: Grow, drop_triggers: Drop) -> None:
    grow(store, 250)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq > 150"))

    report = verify(store, "deeds")
    assert (report.entries, report.first_broken_seq) == (150, 151)


def test_a_cut_off_end_with_its_checkpoints_is_found_with_one_kept_outside(
    store: Store, grow: Grow, drop_triggers: Drop
) -> None:
    grow(store, 250)
    kept = find_checkpoints("\n".join(seal.line for seal in seals_of(store)))
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq > 150"))
        conn.execute(text("DELETE FROM audit_checkpoint WHERE size > 150"))

    assert verify(store, "deeds").ok
    assert verify(store, "deeds", checkpoints=kept).first_broken_seq == 151


def test_a_chain_hashed_anew_with_its_checkpoints_is_found_with_one_kept_outside(
    store: Store, grow: Grow, drop_triggers: Drop
) -> None:
    grow(store, 250)
    kept = find_checkpoints("\n".join(seal.line for seal in seals_of(store)))
    drop_triggers(store)
    with store.write() as conn:
        rows = [dict(row) for row in conn.execute(select(audit_entry).order_by(audit_entry.c.seq)).mappings()]
        conn.execute(text("DELETE FROM audit_entry"))
        conn.execute(text("DELETE FROM audit_checkpoint"))
        head, tree = GENESIS, Frontier()
        for row in rows:
            row |= {"prev_hash": head} | ({"outcome": "refused"} if row["seq"] == 150 else {})
            row["hash"] = head = entry_hash(row)
            conn.execute(insert(audit_entry).values(row))
            tree.push(head)
            if tree.size % 100 == 0:
                forged = {"size": tree.size, "root": tree.root(), "head_hash": head, "frontier": tree.to_text()}
                same = {name: row[name] for name in ("stream", "at", "epoch", "run_id")}
                conn.execute(insert(audit_checkpoint).values(forged | same))

    assert verify(store, "deeds").ok
    assert verify(store, "deeds", checkpoints=kept[:1]).ok
    assert verify(store, "deeds", checkpoints=kept).first_broken_seq == 200


def test_kept_checkpoints_of_a_chain_that_went_on_still_fit(store: Store, log: AuditLog, grow: Grow) -> None:
    grow(store, 130)
    end_run(store, log, 9)
    with store.read() as conn:
        kept = [load_checkpoint(conn, "deeds"), load_checkpoint(conn, "access")]
    grow(store, 500, first=200)

    assert verify(store, "deeds", checkpoints=kept).ok
    assert verify(store, "access", checkpoints=kept).ok


def test_over_a_hole_no_checkpoint_is_made_and_the_deed_is_still_written(
    store: Store, log: AuditLog, grow: Grow, drop_triggers: Drop
) -> None:
    grow(store, 90)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq = 50"))
    grow(store, 20, first=91)

    assert seals_of(store) == []
    assert verify(store, "deeds").first_broken_seq == 50


def test_a_hash_that_is_no_hex_any_more_is_a_damaged_log(store: Store, grow: Grow, drop_triggers: Drop) -> None:
    grow(store, 10)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(update(audit_entry).where(audit_entry.c.seq == 5).values(hash="?" * 64))

    with pytest.raises(AuditError, match="повреждён"), store.read() as conn:
        load_checkpoint(conn, "deeds")


def test_checkpoint_lines_are_found_in_any_text() -> None:
    root = "ab" * 32
    told = (
        f"Отчёт за ночь\n  • deeds 1200 {root}; access 3 {root}\nУдачи! deeds 0 {root} deeds 12 {root}f xdeeds 9 {root}"
    )

    assert find_checkpoints(told) == [
        Checkpoint(stream="deeds", count=1200, root=root),
        Checkpoint(stream="access", count=3, root=root),
    ]
