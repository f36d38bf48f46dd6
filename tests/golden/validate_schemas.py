#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Validates every golden file, and what it must refuse, against the schemas.

    validate_schemas.py GOLDEN_FOLDER DOCS_FOLDER     prints one line for each violation; exit status 1 if there is any
"""
import copy
import json
import pathlib
import sys

import jsonschema


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def main(golden, docs):
    events = jsonschema.Draft202012Validator(load(docs / "event.schema.json"))
    timelines = jsonschema.Draft202012Validator(load(docs / "timeline.schema.json"))
    for validator in (events, timelines):
        validator.check_schema(validator.schema)
    known = set(events.schema["properties"]["kind"]["examples"])
    problems = []
    counts = {"events": 0, "timelines": 0}
    some_timelines = {}
    for case in sorted(p for p in golden.iterdir() if (p / "in.jsonl").exists()):
        for number, line in enumerate((case / "in.jsonl").read_text(encoding="utf-8").splitlines(), 1):
            record = json.loads(line)
            counts["events"] += 1
            for error in events.iter_errors(record):
                problems.append(f"{case.name}/in.jsonl:{number}: {error.json_path}: {error.message}")
            if record["kind"] not in known and "unknown" not in case.name:
                problems.append(f"{case.name}/in.jsonl:{number}: kind {record['kind']} is not in the vocabulary")
        for number, timeline in enumerate(load(case / "out.json")["timelines"], 1):
            counts["timelines"] += 1
            some_timelines[timeline["kind"]] = timeline
            for error in timelines.iter_errors(timeline):
                problems.append(f"{case.name}/out.json: timeline {number}: {error.json_path}: {error.message[:300]}")

    # A schema that accepts everything would pass all of the above.
    for kind, timeline in some_timelines.items():
        for field in timeline:
            broken = copy.deepcopy(timeline)
            del broken[field]
            if field != "truncated" and timelines.is_valid(broken):
                problems.append(f"timeline.schema.json accepts a {kind} without {field}")
    for broken in ({"kind": "got_conn"}, {"kind": "got_conn", "mono_ns": "1", "source": "hook"},
                   {"kind": "got_conn", "mono_ns": 1, "source": "magic"},
                   {"kind": "got_conn", "mono_ns": 1, "source": "hook", "reused": 1}):
        if events.is_valid(broken):
            problems.append(f"event.schema.json accepts {broken}")
    if not all(counts.values()):
        problems.append(f"no golden files in {golden}")
    print("\n".join(problems) if problems else f"valid: {counts['events']} events, {counts['timelines']} timelines")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
