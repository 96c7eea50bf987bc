"""The page of who may do what, from the policy and the routes."""

from __future__ import annotations

from docs.pages.words import MADE_BY
from gateway.access.policy import POLICY, Action
from gateway.access.roles import Reach, Role
from gateway.api.app import PREFIX, ROUTE_MODULES, require_policy

REACHES = {
    Reach.ANYONE: "nothing of a child is shown, or it is counted and nobody is named",
    Reach.SELF: "a pupil's relation `self`",
    Reach.OWN_CHILD: "a relation `guardian` that holds today and is not restricted",
    Reach.OWN_CLASS: "a relation `leads` to the pupil's class",
    Reach.OWN_GROUP: "a relation `teaches` to the group, substitutions within their days; the group's own marks, not all of its pupils'",
    Reach.OWN_PROGRAMME: "a relation `curates` to the programme",
    Reach.OWN_DEEDS: "only what this account started",
    Reach.SCHOOL: "the role alone",
    Reach.PSEUDONYMS: "the role alone; reasons, states and pseudonyms instead of names and values",
    Reach.VEILED: "the role alone gives reasons, states and pseudonyms; names and values while it has broken the glass",
    Reach.GLASS: "an hour after a written reason (`glass.break`); those who lead get an alert",
}


def build_access_page() -> str:
    """Build the table of who may do what, with the routes that ask for each action."""
    routes: dict[Action, list[str]] = {}
    for module in ROUTE_MODULES:
        for name, action in require_policy(module.routes.routes).items():
            routes.setdefault(action, []).append(name)
    lines = [
        MADE_BY,
        "# Who may do what",
        "",
        "One table for the HTTP door and the command line; source: `gateway/access/policy.py`. What has no cell is not there for the role: the",
        "answer is the same 404 as for something that does not exist. One role is active in a request. Routes stand under",
        f"`{PREFIX}`; the whole contract is its `/openapi.json`. How accounts are made: [accounts](../how-to/accounts.md).",
        "",
        "| action | " + " | ".join(role.value for role in Role) + " | OS user |",
        "|---|" + "---|" * (len(Role) + 1),
    ]
    lines += [
        f"| `{row.action.value}` | "
        + " | ".join(reach.value if (reach := row.reach_of(role)) else "–" for role in Role)
        + f" | {'✔' if row.operator else '–'} |"
        for row in POLICY.values()
    ]
    lines += ["", "## How far a right reaches", "", "| reach | what it needs |", "|---|---|"]
    lines += [f"| {reach.value} | {REACHES[reach]} |" for reach in Reach]
    lines += ["", "## Routes", "", "| action | routes |", "|---|---|"]
    lines += [
        f"| `{action.value}` | {', '.join(f'`{name}`' for name in routes.get(action, [])) or 'command line only'} |"
        for action in Action
    ]
    return "\n".join(lines) + "\n"
