#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints "N passed, N failed, N skipped" for the last `meson test` of a build directory.

Counts the cases of GoogleTest and TAP programs one by one, every other test as one. meson's verdict on a program comes
first: one that crashed after its last case has failed, whatever its cases said.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as ET


def cases_of(suite):
    """The outcomes of one <testsuite>."""
    for case in suite.findall("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            yield "failed"
        elif case.find("skipped") is not None:
            yield "skipped"
        elif case.get("status") != "notrun":
            yield "passed"


def count(test_log, junit):
    """Sums the records of testlog.json, using the cases in testlog.junit.xml where there are any."""
    suites = ET.fromstring(junit).findall("testsuite") if junit else []
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for line in test_log.splitlines():
        test = json.loads(line)
        name = test["name"]
        cases = {"passed": 0, "failed": 0, "skipped": 0}
        for suite in suites:
            scope = suite.get("name", "").partition(".")[2]
            if scope == name or scope.startswith(name + "."):
                for outcome in cases_of(suite):
                    cases[outcome] += 1
        if test["result"] == "SKIP":
            total["skipped"] += 1
        elif test["result"] in ("OK", "EXPECTEDFAIL"):
            if sum(cases.values()) == 0:
                cases["passed"] = 1
            for outcome, number in cases.items():
                total[outcome] += number
        elif cases["failed"]:
            for outcome, number in cases.items():
                total[outcome] += number
        else:
            total["failed"] += 1
    return total


def main():
    logs = pathlib.Path(sys.argv[1]) / "meson-logs"
    try:
        test_log = (logs / "testlog.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        test_log = ""
    junit = logs / "testlog.junit.xml"
    total = count(test_log, junit.read_text(encoding="utf-8") if junit.exists() else "")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**total))
    return 1 if total["failed"] or total["passed"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
