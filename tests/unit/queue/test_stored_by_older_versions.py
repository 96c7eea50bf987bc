"""What an older version has stored can still be read and sent: bodies as release 0.1.0 wrote them, byte by byte."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from gateway.domain.city import AbsenceIntent, HomeworkIntent, MarkIntent
from gateway.queue.broker import Doorbell
from gateway.reconcile.resolve import INTENT_TYPES

# never edited: a new field needs a default, or a migration of what waits in the outbox
STORED = {
    "mark": b'{"type":"mark","pupil_id":40,"lesson_id":101,"group_id":7,"subject_id":3,"teacher_id":9,"on":"2026-11-10","value":"5",'
    b'"weight":1,"form_id":31,"grade_system_id":2}',
    "absence": b'{"type":"absence","pupil_id":40,"lesson_id":101,"group_id":7,"teacher_id":9,"on":"2026-11-10","reason_id":2}',
    "homework": b'{"type":"homework","group_id":7,"subject_id":3,"teacher_id":9,"assigned_on":"2026-11-10","prepared_for":"2026-11-13",'
    b'"text":"\xd0\xa3\xd0\xbf\xd1\x80. 5","pupil_ids":[40,41]}',
}
READ = {"mark": MarkIntent, "absence": AbsenceIntent, "homework": HomeworkIntent}


@pytest.mark.row("G4")
@pytest.mark.parametrize("kind", STORED)
def test_an_intent_that_waits_in_the_outbox_is_read_by_this_version(kind: str) -> None:
    intent: Any = msgspec.json.decode(STORED[kind], type=INTENT_TYPES[kind])

    assert type(intent) is READ[kind]
    assert msgspec.json.encode(intent) == STORED[kind], (
        "what is written now differs: older versions can't go on with it"
    )
    assert date(2026, 11, 10) in (getattr(intent, "on", None), getattr(intent, "assigned_on", None))


@pytest.mark.row("G4")
def test_a_message_is_an_operations_number_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    with Doorbell(done.append, threads=1) as bell:
        enqueue, messages = bell._broker.enqueue, []

        def note(message: Any, **more: Any) -> Any:
            messages.append(message)
            return enqueue(message, **more)

        monkeypatch.setattr(bell._broker, "enqueue", note)
        bell.ring([17])
        bell.wait()

    assert done == [17]
    assert [(tuple(message.args), message.kwargs) for message in messages] == [((17,), {})]
