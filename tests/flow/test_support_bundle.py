"""The support bundle tells what happened, and no name, mark, comment or secret."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.read import EntryFilter, iter_entries
from gateway.domain.errors import ConfigurationError
from gateway.flows.support import kind_of, make_bundle


def read_bundle(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".json"): json.loads(archive.read(name)) for name in archive.namelist()}


def text_of(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


@pytest.fixture
def delivered(small: Any) -> Any:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand


def test_a_bundle_of_a_run_holds_its_decisions_operations_attempts_receipts_and_audit(
    delivered: Any, tmp_path: Path
) -> None:
    run_id = delivered.operations()[0].run_id
    bundle = make_bundle(delivered.gateway, str(run_id), tmp_path / "run.zip")
    tree = read_bundle(tmp_path / "run.zip")

    assert len(tree["operations"]) == len(delivered.operations()) == bundle.counts["operations"]
    assert all(
        tree[name] for name in ("runs", "plans", "decisions", "attempts", "receipts", "audit", "settings", "about")
    )
    assert tree["about"]["epoch"] == 1
    assert (tmp_path / "run.zip").stat().st_mode & 0o777 == 0o600
    assert "support.bundled" in {
        entry.action for entry in iter_entries(delivered.gateway.store, EntryFilter(stream="access"))
    }


def test_no_canary_gets_into_a_bundle(delivered: Any, tmp_path: Path) -> None:
    """Names and ids of pupils, comments, tokens and values of the whole little school."""
    state = delivered.city.state()
    secret = {row["token"] for row in delivered.city.profiles}
    names = {row[name] for row in state["student_profiles"] for name in ("last_name", "first_name") if row.get(name)}
    people = {row["person_id"] for row in state["student_profiles"]}
    refs = {row.ref for row in delivered.operations()}
    cells = {row.object_key for row in delivered.operations()}
    texts = {json.loads(row.intent)["text"] for row in delivered.operations() if row.kind == "homework"}
    run_id = delivered.operations()[0].run_id

    for number, target in enumerate((str(run_id), f"operation:{delivered.operations()[0].id}", sorted(refs)[0])):
        make_bundle(delivered.gateway, target, tmp_path / f"{number}.zip")
        text = text_of(tmp_path / f"{number}.zip")
        assert len(names) > 5
        for canary in names | people | refs | cells | texts | secret | {delivered.gateway.actor.name + '"'}:
            assert canary not in text, "a canary is in the bundle"
        for part in ("operations", "decisions"):
            for row in read_bundle(tmp_path / f"{number}.zip")[part]:
                assert "pupil_id" not in row
                assert (row["intent"] or {}).get("value", "digits") in ("digits", "digits with sign", "word")


def test_two_bundles_of_one_installation_name_the_same_person_the_same_way(delivered: Any, tmp_path: Path) -> None:
    operation = delivered.operations()[0]
    make_bundle(delivered.gateway, str(operation.run_id), tmp_path / "run.zip")
    make_bundle(delivered.gateway, f"operation:{operation.id}", tmp_path / "one.zip")
    one = read_bundle(tmp_path / "one.zip")["operations"][0]
    same = next(row for row in read_bundle(tmp_path / "run.zip")["operations"] if row["id"] == operation.id)

    assert one == same
    assert one["person"].startswith("person-")
    pupils = {json.loads(row.intent).get("pupil_id") for row in delivered.operations()} - {None}
    people = {row["person"] for row in read_bundle(tmp_path / "run.zip")["operations"]} - {None}
    assert len(people) == len(pupils) > 1


def test_another_installation_names_them_differently(build_world: Any, tmp_path: Path) -> None:
    seen = []
    world = build_world(pupils=6)
    for number in range(2):
        world.database_url = f"sqlite:///{tmp_path / f'{number}.sqlite'}"
        world.city.post("reset", {"seed": 1})
        with world.open() as hand:
            hand.link_everybody()
            hand.through()
            make_bundle(hand.gateway, "operation:1", tmp_path / f"{number}.zip")
            seen.append(read_bundle(tmp_path / f"{number}.zip")["operations"][0]["person"])

    assert seen[0] != seen[1]


def test_what_is_not_there_and_a_file_that_is_are_refused(delivered: Any, tmp_path: Path) -> None:
    for target in ("999", "operation:999", "user:none"):
        with pytest.raises(ConfigurationError):
            make_bundle(delivered.gateway, target, tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="уже есть"):
        make_bundle(delivered.gateway, "operation:1", tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("value", "kind"),
    [("5", "digits"), ("4+", "digits with sign"), ("см", "word"), ("", "empty"), (7, "number"), ("2026-11-10", "day"),
     (None, "none"), ([1, 2], "list of 2"), ("Упр. 5, правило", "text below 16")],
)  # fmt: skip
def test_a_value_is_told_by_its_kind(value: object, kind: str) -> None:
    assert kind_of(value) == kind
