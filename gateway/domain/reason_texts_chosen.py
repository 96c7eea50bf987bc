"""The texts of the reason codes that only the kinds chosen by name, or a city without a token or a call, can carry.

Same rows as in `domain.reason_texts`.
"""

from __future__ import annotations

from gateway.domain.reason_texts import Row

CHOSEN_TEXTS: tuple[Row, ...] = (
    (
        "NO_PERIOD",
        "rejected",
        "deputy_head",
        "У группы в городе нет учебного периода, за который стоит итоговая отметка.",
        "Проверьте номер периода в portal.finals и график периодов группы в городском журнале.",
        "The group's schedule in the city has no such marking period.",
        "Check the period's number in portal.finals and the group's schedule in the city's journal.",
    ),
    (
        "PERIOD_NOT_OVER",
        "held",
        "teacher",
        "Период ещё идёт: до его последних дней на портале стоит не итог, а текущая сумма.",
        "Ничего делать не нужно: отметка уйдёт в последние дни периода (finals_before_days).",
        "The period goes on: until its last days the portal shows a running total.",
        "Nothing to do: the mark goes in the period's last days (finals_before_days).",
    ),
    (
        "NO_LESSON_PLAN",
        "rejected",
        "teacher",
        "У группы в городе нет своего опубликованного КТП: завести его шлюз не может.",
        "Заведите КТП этой группы в городском журнале (можно пустое) и опубликуйте; общее с другими группами не подходит.",
        "The group has no published lesson plan of its own in the city, and the gateway can't make one.",
        "Make and publish one for this group in the city's journal (it may be empty); one shared with other groups won't do.",
    ),
    (
        "LESSON_WITHOUT_TOPIC",
        "rejected",
        "teacher",
        "В КТП есть урок без темы, и в городе её тоже нет.",
        "Впишите тему урока: темы стоят по порядку уроков, пропустить одну нельзя.",
        "A lesson of the plan has no topic, and the city knows none either.",
        "Enter the lesson's topic: topics stand in the order of lessons, none can be left out.",
    ),
    (
        "NO_CITY_CALL",
        "held",
        "teacher",
        "Городской журнал не умеет этого (обычно изменить или удалить) с такой записью по вызову.",
        "Сделайте это в городском журнале сами: шлюз увидит исправление при следующем чтении и успокоится.",
        "The city's journal has no call for this (mostly a change or a delete) of such a record.",
        "Do it in the city's journal yourself: the gateway sees it at the next read and agrees.",
    ),
    (
        "DATES_NOT_BUILT",
        "delivery",
        "teacher",
        "КТП в городе записано, но даты его тем не достроены.",
        "В городском журнале нажмите «Достроить даты» и «Пересчитать».",
        "The lesson plan was written, but its topics have no dates yet.",
        "Press the two buttons «build the dates» and «recalculate» in the city's journal.",
    ),
    (
        "ENTER_BY_HAND",
        "delivery",
        "teacher",
        "Запись стоит в списке «внести руками»: шлюз сам её не внесёт.",
        "Внесите её в городском журнале; следующее чтение или выгрузка журнала это подтвердит.",
        "The record is on the list «enter by hand»: the gateway does not write it.",
        "Enter it in the city's journal; the next read or export of the journal proves it.",
    ),
    (
        "PERIOD_SIGNED",
        "held",
        "deputy_head",
        "Завуч подписал этот период для класса: датированное им в город не уходит.",
        "Разрешите один раз с именами учеников (gateway periods approve) или откройте период до часа (periods reopen).",
        "The deputy head has signed this period for the class: what is dated in it does not leave.",
        "Approve it once, naming the pupils (gateway periods approve), or reopen the period until an hour (periods reopen).",
    ),
)
