"""The bare loop beside the delivery benchmark: httpx threads that post prepared marks and look at the status only.

One line of JSON comes in (settings of the city, threads, marks), one line goes out when all is prepared, then it goes;
the last line is the processor time that the posting has used, in seconds.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import msgspec

from gateway.connectors.mesh.auth import Profiles, build_headers
from gateway.connectors.mesh.bodies import to_new_mark
from gateway.connectors.mesh.client import CORE
from gateway.domain.city import MarkIntent
from gateway.settings import MeshSettings

YEAR_ID = 14
"""The sandbox's current school year."""


class Task(msgspec.Struct, frozen=True):
    """What to post, where, and by how many threads."""

    mesh: dict[str, object]
    threads: int
    intents: list[MarkIntent]


def main() -> int:
    """Post everything; 1 where anything was refused."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    settings = MeshSettings.model_validate(task.mesh)
    profiles = Profiles(settings)
    profile = profiles.choose_writer(task.intents[0].teacher_id)
    token = profiles.token(profile)
    bodies = [to_new_mark(one) for one in task.intents]
    limits = httpx.Limits(max_connections=task.threads, max_keepalive_connections=task.threads)
    with httpx.Client(base_url=settings.base_url, trust_env=False, timeout=30, limits=limits) as client:

        def post(body: dict[str, object]) -> int:
            headers = build_headers(settings, profile, token, year_id=YEAR_ID, request_id=uuid4().hex)
            return client.post(f"{CORE}/marks", json=body, headers=headers).status_code

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.buffer.readline()
        before_s = time.process_time()
        with ThreadPoolExecutor(task.threads) as pool:
            statuses = list(pool.map(post, bodies))
        sys.stdout.write(f"{time.process_time() - before_s}\n")
        sys.stdout.flush()
    return int(any(status >= 300 for status in statuses))


if __name__ == "__main__":
    sys.exit(main())
