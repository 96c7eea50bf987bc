"""One difference between the journals that needs a person: its types, its life, and what may be chosen.

A discrepancy is opened by a plan that could not decide a record alone, has exactly one post whose move it is, and ends
only when the city, read again, shows what was chosen. Codes are stored and never renamed; the texts may change.

Source: design, "Discrepancies"; product.md §3.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class DiscrepancyType(StrEnum):
    """What kind of difference it is."""

    FIELDS_DIFFER = "fields_differ"
    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"
    TWO_CANDIDATES = "two_candidates"
    DELETE_AGAINST_CHANGE = "delete_against_change"
    TWO_WRITERS = "two_writers"
    DICTIONARY_GAP = "dictionary_gap"
    LOCKED_PERIOD = "locked_period"
    REFUSED = "refused"
    LINK_DOUBT = "link_doubt"
    WRONG_CHILD = "wrong_child"


class DiscrepancyState(StrEnum):
    """Where it is in its life."""

    OPEN = "open"
    ASSIGNED = "assigned"
    WAITING_OUTSIDE = "waiting_outside"  # put aside until a day, or for somebody outside the school
    WAITING_PROOF = "waiting_proof"  # chosen, and not yet seen in the city
    IGNORED = "ignored"  # until a day, or until a side moves
    RESOLVED = "resolved"


class Outside(StrEnum):
    """Whom outside of the school a discrepancy may wait for; a word, because a name would be personal data."""

    CITY_HELPDESK = "city_helpdesk"
    PORTAL_SUPPORT = "portal_support"
    OTHER_SCHOOL = "other_school"
    FAMILY = "family"


OUTSIDE_ASSIGNEE = "outside:"
"""How an assignee begins who is nobody of the school."""


LIVE = (DiscrepancyState.OPEN, DiscrepancyState.ASSIGNED)
"""States in which somebody has to do something."""


class Choice(StrEnum):
    """What a person decides.

    Attributes:
        OURS: The school's value stands; the city is corrected, by an ordinary plan.
        THEIRS: The city's value stands; ours is corrected here, and the teacher is asked to correct the portal.
        OWN: A third value stands on both sides.
        DISTINCT: Two different things: theirs stays, ours is created beside it.
        HOLD: Decided later, at a given day.
        IGNORE: Left as it is until a given day, or until a side moves.
    """

    OURS = "ours"
    THEIRS = "theirs"
    OWN = "own"
    DISTINCT = "distinct"
    HOLD = "hold"
    IGNORE = "ignore"


LIFE_WORDS: Mapping[str, str] = {
    "opened": "открыто",
    "moved": "одна из сторон изменилась",
    "reopened": "снова открыто",
    "assigned": "назначено",
    "waiting": "ждёт человека вне школы",
    "said_done": "учитель говорит, что исправил на портале",
    "chosen": "решение",
    "proven": "подтверждено чтением города",
    "vanished": "разошлось само",
    "settled": "человек проверил связь",
    "disputed": "возражение",
    "portal_moved": "на портале исправили, решение больше не действует",
}
"""Steps of a life as people read them."""
CHOICE_WORDS: Mapping[Choice, str] = {
    Choice.OURS: "наше",
    Choice.THEIRS: "их",
    Choice.OWN: "своё",
    Choice.DISTINCT: "разные",
    Choice.HOLD: "отложить",
    Choice.IGNORE: "не трогать",
}
"""What may be chosen, as people read it."""


TYPE_WORDS: Mapping[str, str] = {
    "fields_differ": "значения разные",
    "only_here": "в городе пропало",
    "only_there": "только в городе",
    "two_candidates": "похожая запись",
    "delete_against_change": "удаление против правки",
    "two_writers": "пишут двое",
    "dictionary_gap": "нет в справочнике",
    "locked_period": "период закрыт",
    "refused": "не может уйти",
    "link_doubt": "связь под вопросом",
    "wrong_child": "у другого ребёнка",
}
"""Types in a few words, for lists."""

PUT_ASIDE = (Choice.HOLD, Choice.IGNORE)


class TypeText(msgspec.Struct, frozen=True, kw_only=True):
    """What a type means and what to do, for the documents and whoever shows it."""

    what_ru: str
    todo_ru: str
    what_en: str
    todo_en: str
    choices: tuple[Choice, ...]


TYPE_TEXTS: Mapping[DiscrepancyType, TypeText] = {
    DiscrepancyType.FIELDS_DIFFER: TypeText(
        what_ru="Запись есть в обоих журналах, но значения разные.",
        todo_ru="Выберите, чьё значение верно: наше, города или своё.",
        what_en="Both journals have the record, with different values.",
        todo_en="Choose whose value is right: ours, the city's or a third one.",
        choices=(Choice.OURS, Choice.THEIRS, Choice.OWN, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.ONLY_HERE: TypeText(
        what_ru="Переданной записи в городском журнале больше нет.",
        todo_ru="«Наше» поставит её снова, «их» согласится, что её там нет.",
        what_en="A delivered record is no longer in the city's journal.",
        todo_en="«Ours» sets it again, «theirs» agrees that it is not there.",
        choices=(Choice.OURS, Choice.THEIRS, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.ONLY_THERE: TypeText(
        what_ru="На портале записи больше нет, а в городском журнале она стоит.",
        todo_ru="Удаление разрешают утверждением плана; «их» оставит запись городу.",
        what_en="The record is gone at the portal and stands in the city's journal.",
        todo_en="A delete is let out by approving the plan; «theirs» leaves the record to the city.",
        choices=(Choice.THEIRS, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.TWO_CANDIDATES: TypeText(
        what_ru="В городском журнале уже стоит похожая запись, внесённая человеком.",
        todo_ru="Та же запись: «наше» или «их» значение. Другая: «разные» — наша встанет рядом.",
        what_en="A person has typed a record that looks like ours into the city's journal.",
        todo_en="The same one: «ours» or «theirs». Another one: «distinct» sets ours beside it.",
        choices=(Choice.OURS, Choice.THEIRS, Choice.DISTINCT, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.DELETE_AGAINST_CHANGE: TypeText(
        what_ru="На портале запись убрали, а в городском журнале её изменили.",
        todo_ru="«Наше» предложит удалить её планом, «их» оставит запись городу.",
        what_en="The record was removed at the portal and changed in the city's journal.",
        todo_en="«Ours» proposes its removal in a plan, «theirs» leaves it to the city.",
        choices=(Choice.OURS, Choice.THEIRS, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.TWO_WRITERS: TypeText(
        what_ru="Значение несколько раз переписывали то с нашей стороны, то в городском журнале.",
        todo_ru="Договоритесь, где эту отметку ведут, и выберите значение один раз.",
        what_en="The value was overwritten several times, by us and in the city's journal in turn.",
        todo_en="Agree where this record is kept, then choose the value once.",
        choices=(Choice.THEIRS, Choice.OWN, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.DICTIONARY_GAP: TypeText(
        what_ru="Для записи нет пары в справочниках или связях: ученик, группа, форма контроля.",
        todo_ru="Добавьте связь или строку справочника; запись уйдёт сама.",
        what_en="A dictionary or link lacks the record's counterpart: pupil, group, control form.",
        todo_en="Add the link or the dictionary row; the record then goes by itself.",
        choices=(Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.LOCKED_PERIOD: TypeText(
        what_ru="Период закрыт: журнал не принимает запись.",
        todo_ru="Завуч решает: открыть период, внести вручную или не передавать.",
        what_en="The period is closed: the journal does not take the record.",
        todo_en="The deputy head decides: reopen the period, enter it by hand, or leave it.",
        choices=(Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.REFUSED: TypeText(
        what_ru="Запись не может уйти: город отказал, исход не подтверждён или она не проходит правил.",
        todo_ru="Исправьте причину; «наше» отправит запись снова по свежему решению.",
        what_en="The record can't go: the city refused it, its outcome was not proven, or it breaks a rule.",
        todo_en="Mend the cause; «ours» sends it again by a fresh decision.",
        choices=(Choice.OURS, Choice.HOLD, Choice.IGNORE),
    ),
    DiscrepancyType.LINK_DOUBT: TypeText(
        what_ru="Против подтверждённой связи ученика появились данные; его записи не уходят.",
        todo_ru="gateway links show: что разошлось. Верна — gateway links confirm, неверна — gateway links split.",
        what_en="Evidence against a pupil's confirmed link has come up; nothing of his is sent.",
        todo_en="gateway links show says what differs. Right: gateway links confirm; wrong: gateway links split.",
        choices=(),
    ),
    DiscrepancyType.WRONG_CHILD: TypeText(
        what_ru="Запись стоит в журнале у другого ребёнка и ещё не убрана.",
        todo_ru="Удаление утверждено: дождитесь его. Если город его не принял или запись правили, уберите её в журнале.",
        what_en="The record stands under another child in the city's journal and is not removed yet.",
        todo_en="Its removal is approved: wait for it. Where the city refused it or somebody edited it, remove it there.",
        choices=(),
    ),
}
