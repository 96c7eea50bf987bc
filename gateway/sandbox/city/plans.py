"""What the city takes of КТП: the plan's content, whole, and its dates; same form of command as in `writes`.

A plan says what is taught, a calendar plan when: «достроить даты» takes the topics over, «пересчитать» gives them the
dates of the group's lessons and the lessons their topics (B S3 for the two calls, D for what a lesson then shows).
"""

from __future__ import annotations

from gateway.sandbox.city.city import Actor, Order, RefusedError, check, get_known
from gateway.sandbox.city.rules import Refusal, refuse_partial, refuse_teacher
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.wire import wire_calendar_plan

PLAN_FIELDS = ("academic_year_id", "name", "status", "subject_id", "class_level_id", "owner_ids", "modules")


def list_topics(plan: Row) -> list[Row]:
    """The lessons of a plan in order, each with its name and the section's."""
    return [
        {"name": lesson.get("name") or topic.get("name"), "module_name": module.get("name")}
        for module in plan["modules"]
        for topic in module.get("topics") or []
        for lesson in topic.get("lessons") or []
    ]


def _check_owner(actor: Actor, group_ids: list[int]) -> None:
    """V5: the plan is one of a group that the writer leads."""
    if actor.profile is None or actor.profile["type"] == "school_admin":
        return
    if not any(refuse_teacher(actor.profile, None, group_id, None) is None for group_id in group_ids):
        raise RefusedError(Refusal(403, "Учитель не назначен в эту группу", "V5"))


def change_lesson_plan(order: Order) -> Row:
    """Take a whole lesson plan anew (S8)."""
    city, actor, object_id, body = order.city, order.actor, order.object_id, order.body
    plan = get_known(city.state.find("lesson_plans", object_id), "План")
    if city.switches.strict_put == 400:
        check(refuse_partial(body, PLAN_FIELDS))
    if not _is_whole(body.get("modules")):
        raise RefusedError(Refusal(400, "Не переданы разделы плана", "V12"))
    _check_owner(actor, plan["group_ids"])
    row = {**{name: body.get(name) for name in plan}, "id": plan["id"], "group_ids": plan["group_ids"]}
    city.accept(actor, "change", "lesson_plans", row, value=row["name"])
    return {"lesson_plan": row}


def _is_whole(modules: object) -> bool:
    """Whether every section has topics and every topic lessons, each a list of objects."""
    if not isinstance(modules, list):
        return False
    return all(
        isinstance(module, dict)
        and isinstance(module.get("topics"), list)
        and all(isinstance(topic, dict) and isinstance(topic.get("lessons"), list) for topic in module["topics"])
        for module in modules
    )


def finish_calendar_plan(order: Order) -> Row:
    """«Достроить даты»: the topics of the group's plan are taken over; the calendar plan may then be recalculated."""
    city, actor, object_id = order.city, order.actor, order.object_id
    plan = get_known(city.state.find("calendar_plans", object_id), "КТП")
    _check_owner(actor, [plan["group_id"]])
    content = next((one for one in city.state.iter_rows("lesson_plans") if plan["group_id"] in one["group_ids"]), None)
    lessons = plan["lessons"]
    if content is not None:
        lessons = [
            {**topic, "date": None, "ordinal": number} for number, topic in enumerate(list_topics(content), start=1)
        ]
    row = {**plan, "is_finished": True, "lessons": lessons}
    city.accept(actor, "change", "calendar_plans", row, value="finish")
    return wire_calendar_plan(row)


def recalc_calendar_plan(order: Order) -> Row:
    """«Пересчитать»: topics take the dates of the group's lessons in order; topics without a lesson have none."""
    city, actor, object_id = order.city, order.actor, order.object_id
    plan = get_known(city.state.find("calendar_plans", object_id), "КТП")
    _check_owner(actor, [plan["group_id"]])
    if not plan["is_finished"]:
        raise RefusedError(Refusal(400, "КТП не достроен"))
    held = [one for one in city.state.iter_of_group("schedule_items", plan["group_id"]) if not one["cancelled"]]
    held.sort(key=lambda lesson: (lesson["date"], lesson["time"], lesson["id"]))
    dates: list[str | None] = [lesson["date"] for lesson in held]
    dates += [None] * len(plan["lessons"])
    topics = [{**topic, "date": date} for topic, date in zip(plan["lessons"], dates, strict=False)]
    for number, lesson in enumerate(held):
        topic = topics[number] if number < len(topics) else {}
        shown = {
            "topic_name": topic.get("name"),
            "module_name": topic.get("module_name"),
            "calendar_plan_id": plan["id"],
        }
        city.state.put("schedule_items", {**lesson, **shown}, now=city.now())
    row = {**plan, "lessons": topics}
    city.accept(actor, "change", "calendar_plans", row, value="recalc")
    return wire_calendar_plan(row)
