"""`Idempotency-Key`: what starts work starts it once, whatever the network does to the answer."""

from __future__ import annotations

import json
from collections.abc import Callable

from fastapi import Request, Response
from pydantic import BaseModel

from gateway.access.idempotent import Answer, Verdict, claim_key, digest_request, free_key, keep_answer
from gateway.api.desk import Asked
from gateway.api.problems import build_problem
from gateway.api.tongue import tongue_of
from gateway.domain.errors import GatewayError

REPLAYED = "Idempotent-Replayed"


def do_once(asked: Asked, request: Request, key: str, body: BaseModel | None, work: Callable[[], Response]) -> Response:
    """Do the work where this key is new, else give the answer that it got.

    Args:
        body: As it was understood: a repeat that differs in blanks is the same request.
        work: Does it and answers; an error of the gateway means that nothing was done, and frees the key.
    """
    store, account_id = asked.desk.gateway.store, asked.principal.account_id
    text = b"" if body is None else json.dumps(body.model_dump(mode="json"), sort_keys=True).encode()
    digest = digest_request(request.method, request.url.path, text)
    with store.write() as conn:
        verdict = claim_key(conn, account_id, key, digest, now=store.now(conn))
    if isinstance(verdict, Answer):
        headers = {REPLAYED: "true"}
        if verdict.body is None:
            # a 204 has no body: one that is sent all the same breaks the connection (RFC 9110 §15.3.5)
            return Response(status_code=verdict.status, headers=headers)
        return Response(json.dumps(verdict.body), verdict.status, headers=headers, media_type="application/json")
    if verdict is Verdict.OTHER_REQUEST:
        return build_problem(
            422, "REQUEST_INVALID", "Этот Idempotency-Key уже дан другому запросу", tongue=tongue_of(request)
        )
    if verdict is Verdict.IN_FLIGHT:
        return build_problem(
            409,
            "ALREADY_RUNNING",
            "Запрос с этим ключом ещё выполняется",
            headers={"Retry-After": "2"},
            tongue=tongue_of(request),
        )
    try:
        response = work()
    except GatewayError:
        with store.write() as conn:
            free_key(conn, account_id, key)
        raise
    with store.write() as conn:
        answer = Answer(status=response.status_code, body=json.loads(bytes(response.body) or b"null"))
        keep_answer(conn, account_id, key, answer)
    return response
