#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""count_results.py on the logs of meson runs that went well, went badly, and crashed."""
import json
import unittest

import count_results


def log(*results):
    return "\n".join(json.dumps({"name": name, "result": result}) for name, result in results)


def junit(**programs):
    """One <testsuite> a program; its cases by their outcomes."""
    suites = ""
    for name, outcomes in programs.items():
        inner = {"failed": "<failure/>", "skipped": "<skipped/>"}
        cases = "".join(f"<testcase status='run'>{inner.get(o, '')}</testcase>" for o in outcomes)
        suites += f"<testsuite name='conntrace.{name}.Suite'>{cases}</testsuite>"
    return f"<testsuites>{suites}</testsuites>"


class CountResults(unittest.TestCase):
    def check(self, test_log, test_junit, passed, failed, skipped):
        self.assertEqual(count_results.count(test_log, test_junit),
                         {"passed": passed, "failed": failed, "skipped": skipped})

    def test_cases_are_counted_one_by_one(self):
        self.check(log(("a", "OK"), ("b", "FAIL")), junit(a=["passed"] * 3 + ["skipped"], b=["passed", "failed"]), 4, 1, 1)

    def test_a_program_without_cases_is_one(self):
        self.check(log(("a", "OK"), ("b", "FAIL"), ("c", "SKIP"), ("d", "TIMEOUT")), "", 1, 2, 1)

    def test_a_crash_after_the_last_case_is_a_failure(self):
        self.check(log(("a", "FAIL")), junit(a=["passed"] * 3), 0, 1, 0)

    def test_names_that_begin_alike_are_kept_apart(self):
        self.check(log(("tap", "OK"), ("tap_bpf", "SKIP")), junit(tap=["passed"], tap_bpf=["passed"] * 2), 1, 0, 1)

    def test_nothing_ran(self):
        self.check("", "", 0, 0, 0)


if __name__ == "__main__":
    unittest.main()
