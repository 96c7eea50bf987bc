"""The text of a question and of the answer given, out of the page that Moodle renders for it. Pure.

No field of the web service holds them: only `html` does. Read is the block `formulation` alone, which is the question as it
stands before the pupil; feedback, the right answer and the history of the attempt lie behind it and are not looked at.
Marks of right and wrong inside it are classes and icons, never text that is kept.

Source: recorded reviews of 4.5.6 [M]; controls of the core question types [S].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

BLOCK = "formulation"
TEXT = "qtext"
ESSAY = "qtype_essay_response"
LONGEST_CHARS = 20_000
"""Of one text; an essay has ten thousand. What is longer is cut and ends with `CUT`."""
CUT = "…"
GAP = " ____ "
"""Where something is filled in within the text of a question."""

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_LINES = frozenset({"p", "div", "br", "li", "tr", "td", "h1", "h2", "h3", "h4", "h5", "h6", "fieldset", "legend"})
_SKIPPED_TAGS = frozenset({"script", "style", "svg"})
_SKIPPED_CLASSES = frozenset({"accesshide", "sr-only", "visually-hidden", "answernumber"})
_BLANKS = re.compile(r"[ \t\r\f\v\xa0]+")
_EMPTY_LINES = re.compile(r"\s*\n\s*")
_ANSWER_FIELD = re.compile(r"q\d+:\d+_(?!.*:(?:sequencecheck|flagged)$)")


@dataclass(frozen=True)
class Shown:
    """What was found.

    Attributes:
        answer: Empty where nothing was answered, or not as text.
        has_controls: Whether there was anything to answer by that this reader knows.
    """

    text: str
    answer: str
    has_controls: bool


def read_question(html: str) -> Shown:
    """Read one question's page.

    Args:
        html: As `mod_quiz_get_attempt_review` gives it; hostile input, nothing of it is kept as markup.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Shown(_tidy("".join(reader.text)), _cut("; ".join(reader.answers())), reader.has_controls)


@dataclass
class _Region:
    """A piece of the page whose text goes to one place; None = nowhere."""

    form: Literal["block", "text", "skip", "label", "row", "select", "choice", "area"]
    depth: int
    sink: list[str] | None = field(default=None)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.has_controls = False
        self._open: list[str] = []
        self._regions: list[_Region] = []
        self._is_done = False
        self._labels: dict[str, list[str]] = {}
        self._found: list[tuple[Literal["label", "text"], str]] = []

    def answers(self) -> list[str]:
        """The answers in the order of the page, empty ones left out."""
        told = (
            _tidy("".join(self._labels.get(value, ())) if form == "label" else value) for form, value in self._found
        )
        return [text for text in told if text]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        words = frozenset(named.get("class", "").split())
        if tag not in _VOID:
            self._open.append(tag)
        if not self._regions:
            if not self._is_done and BLOCK in words and tag not in _VOID:
                self._begin("block", None)
            return
        if tag in _LINES:
            self._write("\n")
        if self._is_in("skip"):
            return
        if tag in _SKIPPED_TAGS or words & _SKIPPED_CLASSES:
            if tag not in _VOID:
                self._begin("skip", None)
        elif tag in _VOID:
            self._take_void(tag, named, words)
        else:
            self._take_element(tag, named, words)

    def _take_void(self, tag: str, named: dict[str, str], words: frozenset[str]) -> None:
        if tag == "img" and "icon" not in words:  # icons of right and wrong bear their word
            alt = named.get("alt", "").strip()
            self._write(f" [рисунок: {alt}] " if alt else " [рисунок] ")
        if tag != "input" or not _ANSWER_FIELD.match(named.get("name", "")):
            return
        form = named.get("type", "text").lower()
        if form in {"radio", "checkbox"}:
            self.has_controls = True
            # minus one is «no choice»
            if "checked" in named and named.get("value") != "-1":
                self._found.append(("label", named.get("id", "")))
        elif form in {"text", "number"}:
            self.has_controls = True
            self._found.append(("text", named.get("value", "")))
            self._fill_gap()

    def _take_element(self, tag: str, named: dict[str, str], words: frozenset[str]) -> None:
        is_answer = bool(_ANSWER_FIELD.match(named.get("name", "")))
        if TEXT in words:
            self._begin("text", self.text)
        elif tag == "label":
            self._begin("label", self._labels.setdefault(named.get("for", ""), []))
        elif named.get("id", "").endswith("_label") and _ANSWER_FIELD.match(named["id"]):
            # since 4.0 a choice's text is an element that its control names
            self._begin("label", self._labels.setdefault(named["id"].removesuffix("_label"), []))
        elif tag == "select" and is_answer:
            self.has_controls = True
            self._fill_gap()
            self._begin("select", None)
        elif tag == "option" and "selected" in named and named.get("value", "") not in ("", "0"):
            self._begin("choice", [])
        elif (tag == "textarea" and is_answer) or ESSAY in words:
            self.has_controls = True
            self._begin("area", [])
        elif tag == "tr" and not self._is_in("text"):
            self._begin("row", [])

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or tag not in self._open:
            return
        if tag in _LINES:
            self._write("\n")
        while self._open:
            closed = self._open.pop()
            while self._regions and self._regions[-1].depth > len(self._open):
                self._end(self._regions.pop())
            if closed == tag:
                return

    def close(self) -> None:
        """End what the page left open."""
        super().close()
        while self._regions:
            self._end(self._regions.pop())

    def handle_data(self, data: str) -> None:
        self._write(data)

    def _begin(
        self,
        form: Literal["block", "text", "skip", "label", "row", "select", "choice", "area"],
        sink: list[str] | None,
    ) -> None:
        self._regions.append(_Region(form, len(self._open), sink))

    def _end(self, region: _Region) -> None:
        if region.form == "block":
            self._is_done = True
        elif region.form in ("choice", "area") and region.sink is not None:
            said = "".join(region.sink)
            row = next((one for one in reversed(self._regions) if one.form == "row"), None)
            asked = "" if row is None or region.form == "area" else _tidy("".join(row.sink or ()))
            # in a table of pairs the answer says to what it was given
            self._found.append(("text", f"{asked} — {_tidy(said)}" if asked else said))

    def _write(self, text: str) -> None:
        if self._regions and self._regions[-1].sink is not None:
            self._regions[-1].sink.append(text)

    def _fill_gap(self) -> None:
        if self._is_in("text"):
            self.text.append(GAP)

    def _is_in(self, form: str) -> bool:
        return any(region.form == form for region in self._regions)


def _tidy(text: str) -> str:
    return _cut(_EMPTY_LINES.sub("\n", _BLANKS.sub(" ", text)).strip())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CHARS else text[: LONGEST_CHARS - 1] + CUT


__all__ = ["CUT", "GAP", "LONGEST_CHARS", "Shown", "read_question"]
