"""Final marks and remarks of lateness: what is in the gradebook's and the attendance's rows beside marks and absences.

Pure. Which item holds a final mark is the school's word (`portal.finals`); such an item is no ordinary mark. Totals of a
course or a category are read for this alone: else they move with every other change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from gateway.connectors.portal.moodle import wire
from gateway.connectors.portal.moodle.dates import from_unix
from gateway.connectors.portal.moodle.directory import user_ref
from gateway.connectors.portal.moodle.marks import MARKED_TYPES, find_word, item_ref
from gateway.domain.errors import RecordError
from gateway.domain.records import Absence, Final, LessonComment, Scale
from gateway.settings import FinalItem

_TOTALS = {"category_total": "category", "course_total": "course"}


def find_final_item(item: wire.GradeItem, finals: Sequence[FinalItem]) -> FinalItem | None:
    """Return the row of the settings that says what final mark an item holds; None where it holds none."""
    return next((rule for rule in finals if _speaks_of(rule, item)), None)


def _speaks_of(rule: FinalItem, item: wire.GradeItem) -> bool:
    types = {_TOTALS[rule.match]} if rule.match in _TOTALS else MARKED_TYPES
    if item.itemtype not in types:
        return False
    if rule.match == "course_total":
        return True
    name, number = wire.to_plain(item.itemname or ""), item.idnumber or ""
    # a category's total often comes without a name; its idnumber is what a teacher can set
    texts = {"name": (name,), "number": (number,), "category_total": (name, number)}[rule.match]
    return any(re.search(rule.pattern, unicodedata.normalize("NFC", text), re.IGNORECASE) for text in texts if text)


def to_final(
    portal: str, row: wire.UserGrades, item: wire.GradeItem, *, group: str, finals: Sequence[FinalItem]
) -> Final | None:
    """Build the final mark of a cell; None where the item holds none, or the cell has no value."""
    rule = find_final_item(item, finals)
    if rule is None or item.graderaw is None:
        return None
    word = find_word(item, is_word_scale=False)
    return Final(
        ref=f"final:{item.id}:{row.userid}",
        origins={"*": f"{portal}/grade/{item.id}:{row.userid}"},
        pupil=user_ref(row.userid),
        group=group,
        item=item_ref(item.id),
        item_name=wire.to_plain(item.itemname or ""),
        form=rule.form,
        period=rule.period.strip() or None,
        scale=Scale(form="points" if word is None else "words", minimum=item.grademin, maximum=item.grademax),
        raw_points=item.graderaw,
        word=word,
        set_at=from_unix(item.gradedategraded),
        is_hidden=item.gradeishidden or item.gradehiddenbydate,
    )


def to_late_comments(absences: Iterable[Absence]) -> list[LessonComment]:
    """Build a remark for each lateness: the city knows it as one, and not as an absence."""
    return [
        LessonComment(
            ref=_late_ref(one.ref),
            origins=one.origins,
            entry=one.entry,
            pupil=one.pupil,
            lesson=one.lesson,
            group=one.group,
            form="late",
        )
        for one in absences
        if one.form == "late"
    ]


def to_late_faults(faults: Iterable[RecordError]) -> list[RecordError]:
    """Say the same of the remarks: a status that can't be read may be a lateness as well as an absence."""
    return [RecordError(one.sentence, where=_late_ref(one.where), reason=one.reason_code) for one in faults]


def _late_ref(absence_ref: str) -> str:
    """`absence:5:3` → `late:5:3`: the same session and pupil."""
    return f"late:{absence_ref.partition(':')[2]}"
