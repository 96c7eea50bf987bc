"""A run of a whole school, and one of a class that was to show a rule first, taken back: the journal is as it was found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.domain.identifiers import Kind
from gateway.flows.emptied import believe_emptied
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from tests.flow.persons import activate_rules
from tests.flow.test_undo import journal, let_out, remove_homework, undo


def test_undo_of_the_demos_whole_run_leaves_the_journal_as_the_demo_found_it(recorded: Any) -> None:
    """Everything that `gateway demo` sends of its recorded portal: two classes, three subjects, three kinds."""
    with recorded.open() as hand:
        hand.link_everybody()
        before = journal(hand)
        first = hand.sync()
        hand.approve(first)
        hand.deliver()
        sent = journal(hand) - before
        made = undo(hand, first.run_id)
        let_out(hand, made)
        hand.deliver()
        parked = [row for row in hand.operations() if row.state == "parked"]
        remove_homework(hand, parked)
        unread = hand.sync().planned.problems
        believe_emptied(hand.gateway, frozenset({Kind.HOMEWORK}), reason="убрано руками после отмены")
        hand.sync()

        assert {(row.kind, row.reason) for row in parked} == {("homework", "NO_CITY_CALL")}
        assert unread, "no homework of any group is left: that looks like a right that was lost"
        assert all("gateway emptied" in one.sentence for one in unread)
        assert {key[0] for key in sent} == {"mark", "absence", "homework"}
        assert made.count == sum(sent.values()) > 300
        assert made.left == {}
        assert journal(hand) == before
        assert hand.states().keys() == {"verified"}


@pytest.mark.row("V8")
def test_a_wrong_rule_is_tried_on_one_class_and_taken_back_before_another_class_has_seen_it(recorded: Any) -> None:
    wrong = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
    of_one_class = {"class_names": frozenset({"7А"}), "kinds": frozenset(Kind) - {Kind.HOMEWORK}}
    with recorded.open() as hand:
        hand.link_everybody()
        before = journal(hand)
        whole = {row.scope for row in hand.decisions(hand.sync())}
        activate_rules(hand.gateway, wrong)
        first = hand.sync(want=msgspec.structs.replace(hand.want, **of_one_class))
        hand.approve(first)
        hand.deliver()
        seen, touched = journal(hand), {row.scope for row in hand.base_rows()}
        let_out(hand, undo(hand, first.run_id))
        hand.deliver()

        assert 7 in {key[4] for key in seen if key[0] == "mark"}, "the teacher of 7А has seen a test that weighs seven"
        assert touched == {row.scope for row in hand.decisions(first) if row.op == "create"}
        assert len(touched) < len({scope for scope in whole if not scope.startswith("homework")}), "7Б has not"
        assert journal(hand) == before
        hand.assert_sound()
