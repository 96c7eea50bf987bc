"""A person cancels a lesson in the city; afterwards nothing can be written on it."""

from __future__ import annotations

import httpx

from gateway.sandbox.city import build_city_app
from gateway.sandbox.serve import serve_in_thread


def test_a_lesson_cancelled_by_hand_is_cancelled_in_the_timetable() -> None:
    app = build_city_app(rate_per_s=None)
    with serve_in_thread(app) as city, httpx.Client(base_url=city.base_url, trust_env=False) as client:
        lesson = next(row for row in client.get("/__sandbox/state").json()["schedule_items"] if not row["cancelled"])

        answer = client.post("/__sandbox/human", json={"op": "cancel", "kind": "lesson", "id": lesson["id"]})

        assert answer.status_code == 200, answer.text
        after = {row["id"]: row for row in client.get("/__sandbox/state").json()["schedule_items"]}
        assert after[lesson["id"]]["cancelled"] is True
