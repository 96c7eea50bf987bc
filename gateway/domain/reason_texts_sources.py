"""The texts of the reason codes of several sources, as rows of a table; see `domain.reason_texts`."""

from __future__ import annotations

from gateway.domain.reason_texts import Row

SOURCE_TEXTS: tuple[Row, ...] = (
    (
        "SOURCES_DISAGREE",
        "held",
        "teacher",
        "Источники школы говорят об этой записи разное.",
        "Исправьте запись там, где она неверна; до этого в город она не передаётся.",
        "The school's sources say different things of this record.",
        "Correct it where it is wrong; until then it is not sent.",
    ),
    (
        "SOURCE_UNREAD",
        "waiting",
        "admin",
        "Один из источников записи не прочитан, а его прежнее слово другое.",
        "Дождитесь следующего чтения; если источник больше не ведётся, уберите его из настроек.",
        "One of the record's sources was not read, and its last word was another.",
        "Wait for the next read; if the source is no longer kept, take it out of the settings.",
    ),
    (
        "SOURCES_BOTH_SENT",
        "held",
        "curator",
        "Одна и та же запись из двух источников стоит в городском журнале дважды.",
        "Решите, какая из двух верна, и уберите другую в её источнике.",
        "One record of two sources stands in the city's journal twice.",
        "Decide which of the two is right and remove the other at its source.",
    ),
    (
        "PLANNER_INVALID",
        "rejected",
        "teacher",
        "Запись или пакет планировщика не по форме.",
        "Исправьте запись в планировщике; если он присылает книги сам, пусть пришлёт эту ещё раз с новой редакцией.",
        "A row or a batch of the planner does not fit its form.",
        "Correct the row in the planner; where it pushes its books, let it push this one again with a new revision.",
    ),
)
