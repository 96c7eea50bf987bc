"""The texts of the reason codes of undoing a run, as rows of a table; see `domain.reason_texts`."""

from __future__ import annotations

from gateway.domain.reason_texts import Row

UNDO_TEXTS: tuple[Row, ...] = (
    (
        "UNDO",
        "update",
        "deputy_head",
        "Отмена запуска: в городском журнале снова будет то, что стояло до него.",
        "Утвердите план отмены или дайте ему истечь.",
        "A run is undone: the city's journal gets back what stood before it.",
        "Approve the plan of the undo, or let it expire.",
    ),
    (
        "UNDONE",
        "held",
        "deputy_head",
        "Передача этой записи отменена человеком; снова она уйдёт, когда её исправят на портале.",
        "Если отмена больше не нужна, снимите её: gateway holds lift --run.",
        "A person undid this record's delivery; it goes again once it is edited at the portal.",
        "If the undo is no longer wanted, lift it: gateway holds lift --run.",
    ),
    (
        "UNDO_MOVED",
        "held",
        "deputy_head",
        "После запуска эту запись изменили в городском журнале; отмена её не трогает.",
        "Посмотрите, что там стоит; решите о записи отдельно.",
        "The record was changed in the city's journal since that run; the undo leaves it alone.",
        "See what stands there and decide about the record by itself.",
    ),
    (
        "UNDO_OTHER_CHILD",
        "held",
        "deputy_head",
        "Связь этого ученика с городским журналом с тех пор изменили или она под сомнением: отмена ничего ему не возвращает.",
        "Проверьте, чей это профиль (gateway links), и решите о записи отдельно.",
        "This pupil's link to the city's journal has changed since or is doubted: the undo puts nothing back there.",
        "Check whose profile it is (gateway links) and decide about the record by itself.",
    ),
    (
        "UNDO_SUPERSEDED",
        "held",
        "deputy_head",
        "После запуска эту запись уже передал более поздний запуск.",
        "Отмените сначала его, если нужно.",
        "A later run has delivered this record again since.",
        "Undo that one first, if it is wanted.",
    ),
    (
        "UNDO_UNPROVEN",
        "held",
        "deputy_head",
        "Исход этой операции запуска не подтверждён чтением города: отменять нечего или рано.",
        "Разберите отложенную операцию, затем повторите отмену.",
        "The outcome of this operation of the run was not proven by a read-back.",
        "Settle the parked operation, then undo again.",
    ),
)
