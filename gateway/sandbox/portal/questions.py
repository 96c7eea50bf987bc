"""Questions of a made-up test as a teacher's review shows them, in the markup of the recorded ones.

Source: recorded reviews of 4.5.6 (a true/false question with deferred feedback) [M].
"""

from __future__ import annotations

from gateway.sandbox.portal.book import Row

REVIEW_FIELDS = (
    *("reviewattempt", "reviewcorrectness", "reviewmaxmarks", "reviewmarks", "reviewspecificfeedback"),
    *("reviewgeneralfeedback", "reviewrightanswer", "reviewoverallfeedback"),
)
ALWAYS_SHOWN = 0x11110
"""During, just after, later while open, after the close: what a new quiz starts with."""
AFTER_IT = 0x01110


def build_question(place: int, *, is_right: bool, attempt: int) -> Row:
    """One answered question; «True» is right where its number is odd."""
    is_true_right = place % 2 == 1
    is_true_chosen = is_true_right is is_right
    word = "correct" if is_right else "incorrect"
    name = f"q{attempt}:{place}_answer"

    def choice(value: int, text: str, is_chosen: bool) -> str:
        mark = ' checked="checked"' if is_chosen else ""
        icon = f' <i class="icon fa-fw" title="{word.title()}" role="img"></i>' if is_chosen else ""
        control = (
            f'<input type="radio" name="{name}" value="{value}" id="{name}{text.lower()}" disabled="disabled"{mark} />'
        )
        label = f'<label for="{name}{text.lower()}" class="ms-1">{text}</label>'
        return f'<div class="r{1 - value}{" " + word if is_chosen else ""}">{control}{label}{icon} </div>'

    choices = choice(1, "True", is_true_chosen) + choice(0, "False", not is_true_chosen)
    html = (
        f'<div class="formulation clearfix"><h4 class="accesshide">Question text</h4>'
        f'<input type="hidden" name="q{attempt}:{place}_:sequencecheck" value="3" />'
        f'<div class="qtext"><div class="clearfix">Утверждение {place} верно?</div></div><fieldset class="ablock">'
        f'<legend class="prompt"><span class="sr-only">Question {place}</span> Select one:</legend>'
        f'<div class="answer">{choices}</div></fieldset></div>'
        f'<div class="outcome clearfix"><h4 class="accesshide">Feedback</h4><div class="feedback">'
        f'<div class="rightanswer">The correct answer is &#039;{is_true_right}&#039;.</div></div></div>'
    )
    return {
        "slot": place,
        "type": "truefalse",
        "questionnumber": str(place),
        "html": html,
        "state": "gradedright" if is_right else "gradedwrong",
        "mark": "1.00" if is_right else "0.00",
        "maxmark": 1,
    }
