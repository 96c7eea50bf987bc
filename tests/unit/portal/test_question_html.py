"""A question's page tells what was asked and answered, and never what was right."""

from __future__ import annotations

import pytest

from gateway.connectors.portal.moodle.question_html import CUT, LONGEST_CHARS, read_question


def page(inside: str) -> str:
    behind = '<div class="outcome"><div class="rightanswer">Верный ответ: СЕКРЕТ</div></div>'
    return (
        '<div class="que"><div class="info">Вопрос <span class="qno">1</span></div><div class="content">'
        f'<div class="formulation clearfix"><h4 class="accesshide">Текст вопроса</h4>{inside}</div>{behind}</div></div>'
    )


NEW_CHOICE = (
    '<div class="qtext"><p>Столица&nbsp;России?</p></div><div class="ablock"><div class="answer">'
    '<div class="r0"><input type="radio" name="q7:1_answer" value="0" id="q7:1_answer0" checked="checked">'
    '<div class="d-flex" id="q7:1_answer0_label"><span class="answernumber">a. </span><div>Москва</div></div></div>'
    '<div class="r1"><input type="radio" name="q7:1_answer" value="1" id="q7:1_answer1">'
    '<div id="q7:1_answer1_label"><span class="answernumber">b. </span><div>Тверь</div></div></div></div>'
    '<input type="radio" name="q7:1_answer" value="-1" checked="checked" class="sr-only"></div>'
)
MANY = (
    '<div class="qtext">Чётные?</div>'
    '<input type="hidden" name="q7:2_:sequencecheck" value="3">'
    '<input type="checkbox" name="q7:2_choice0" value="1" id="c0" checked><label for="c0">2</label>'
    '<input type="checkbox" name="q7:2_choice1" value="1" id="c1"><label for="c1">3</label>'
    '<input type="checkbox" name="q7:2_choice2" value="1" id="c2" checked><label for="c2">4</label>'
)
PAIRS = (
    '<div class="qtext">Соедините</div><table class="answer"><tbody>'
    '<tr><td class="text"><p>Франция</p></td><td class="control"><label class="accesshide">Ответ 1</label>'
    '<select name="q7:3_sub0"><option value="0">Выберите</option><option value="1" selected="selected">Париж</option>'
    '<option value="2">Рим</option></select></td></tr>'
    '<tr><td class="text">Италия</td><td><select name="q7:3_sub1"><option value="0" selected>Выберите</option>'
    '<option value="2">Рим</option></select></td></tr></tbody></table>'
)
GAPS = (
    '<div class="qtext">Река <label class="accesshide" for="g1">Ответ</label>'
    '<select name="q7:4_p1" id="g1"><option value="">&nbsp;</option><option selected value="1">Ока</option></select>'
    ' впадает в <input type="text" name="q7:4_sub2_answer" value="Волгу" size="5">.</div>'
)
SHORT = '<div class="qtext">2+2?</div><div class="ablock"><input type="text" name="q7:5_answer" value="4"></div>'
ESSAY = (
    '<div class="qtext">Почему?</div><div class="answer"><div class="qtype_essay_editor qtype_essay_response readonly">'
    "<p>Потому <b>что</b></p><p>так</p><script>alert(1)</script></div></div>"
)
PLAIN_ESSAY = '<div class="qtext">Почему?</div><textarea name="q7:6_answer">Не знаю\nпока</textarea>'


@pytest.mark.parametrize(
    ("inside", "text", "answer"),
    [
        (NEW_CHOICE, "Столица России?", "Москва"),
        (MANY, "Чётные?", "2; 4"),
        (PAIRS, "Соедините", "Франция — Париж"),
        (GAPS, "Река ____ впадает в ____ .", "Ока; Волгу"),
        (SHORT, "2+2?", "4"),
        (ESSAY, "Почему?", "Потому что\nтак"),
        (PLAIN_ESSAY, "Почему?", "Не знаю\nпока"),
    ],
    ids=["choice", "many", "pairs", "gaps", "short", "essay", "plain-essay"],
)
def test_question_and_answer_of_the_core_types_are_told_as_text(inside: str, text: str, answer: str) -> None:
    shown = read_question(page(inside))

    assert (shown.text, shown.answer) == (text, answer)
    assert shown.has_controls


def test_what_lies_behind_the_question_is_never_read() -> None:
    for inside in (NEW_CHOICE, MANY, PAIRS, GAPS, SHORT, ESSAY):
        shown = read_question(page(inside))
        assert "СЕКРЕТ" not in shown.text + shown.answer


def test_a_drag_and_drop_has_no_answer_as_text_and_says_so() -> None:
    inside = '<div class="qtext">Сложите <img alt="пазл" src="x"> слово</div><div class="ddarea"><span>а</span></div>'

    shown = read_question(page(inside))

    assert (shown.text, shown.answer, shown.has_controls) == ("Сложите [рисунок: пазл] слово", "", False)


def test_nothing_chosen_is_no_answer() -> None:
    shown = read_question(page(SHORT.replace('value="4"', 'value=""')))

    assert (shown.answer, shown.has_controls) == ("", True)


@pytest.mark.parametrize("html", ["", "<div", page("<div><div><b>")[:120], "<div class='formulation'>" + "</p>" * 50])
def test_a_torn_page_gives_what_it_has_and_no_error(html: str) -> None:
    assert read_question(html).answer == ""


def test_a_text_without_end_is_cut_and_shows_it() -> None:
    shown = read_question(page(f'<div class="qtext">{"я" * 50_000}</div>'))

    assert len(shown.text) == LONGEST_CHARS
    assert shown.text.endswith(CUT)
