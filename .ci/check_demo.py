"""Whether the demo's one JSON object says that everything arrived, once. Reads the file named on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PULL = {"read", "new", "changed", "gone", "unchanged"}
PLAN = ("create", "update", "delete", "unchanged", "adopted", "held", "waiting", "rejected", "out_of_scope")
DELIVERY = {"sent", "accepted", "verified", "parked"}
KEYS = {"pull", "plan", "by_reason", "delivery", "second_plan", "audit", "duration_s"}
KINDS = {
    "programme", "person", "group", "membership", "subject", "period", "lesson", "mark", "absence", "homework", "attempt",
}  # fmt: skip
RECORDED_MARKS = 284  # mod and manual cells with a value in the recording
LONGEST_S = 30.0


def find_faults(told: dict[str, Any]) -> list[str]:
    """Return what is wrong, a line each; empty when all is well."""
    if missing := KEYS - told.keys():
        return [f"missing: {', '.join(sorted(missing))}"]
    faults = []
    if unknown := told["pull"].keys() - KINDS:
        faults.append(f"pull: unknown kinds {sorted(unknown)}")
    faults += [f"pull.{kind}: keys {sorted(row)}" for kind, row in told["pull"].items() if set(row) != PULL]
    if told["pull"].get("mark", {}).get("read") != RECORDED_MARKS:
        faults.append(f"pull.mark.read is not {RECORDED_MARKS}: {told['pull'].get('mark')}")
    for name in ("plan", "second_plan"):
        if set(told[name]) != {"read", *PLAN}:
            faults.append(f"{name}: keys {sorted(told[name])}")
        elif told[name]["read"] != sum(told[name][part] for part in PLAN):
            faults.append(f"{name}: read is not the sum of the others: {told[name]}")
    faults += [
        f"second_plan.{part} is {told['second_plan'].get(part)}" for part in PLAN[:3] if told["second_plan"].get(part)
    ]
    if sum(told["by_reason"].values()) != told["plan"].get("read"):
        faults.append(f"by_reason does not sum to what was read: {told['by_reason']}")
    delivery = told["delivery"]
    if set(delivery) != DELIVERY:
        faults.append(f"delivery: keys {sorted(delivery)}")
    elif (
        not delivery["sent"] >= delivery["verified"] > 0
        or delivery["sent"] != delivery["verified"] + delivery["parked"]
    ):
        faults.append(f"delivery does not add up: {delivery}")
    if told["audit"].get("chain_ok") is not True or told["audit"].get("entries", 0) <= 0:
        faults.append(f"audit: {told['audit']}")
    if not 0 < told["duration_s"] < LONGEST_S:
        faults.append(f"duration_s is {told['duration_s']}, not under {LONGEST_S}")
    return faults


def main() -> int:
    faults = find_faults(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201  # a script of the console
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
