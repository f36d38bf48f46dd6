#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows check_behaviours.py a page that is true, and one for each way not to be."""
import pathlib
import tempfile
import unittest

import check_behaviours

TESTS = "TEST(Suite, One) {}\nTEST_F(Fixture,\n       Two) {}\nTEST_P(Table, Three) {}\n"


def row(number, ours="`Suite.One`", verdict="same"):
    return f"| {number} | TestX | asks | {ours} | {verdict} |\n"


def page(**changed):
    """Every row, those of `changed` (n1="…") instead of theirs."""
    return "".join(changed.get(f"n{number}", row(number)) for number in sorted(check_behaviours.NUMBERS))


class CheckBehaviours(unittest.TestCase):
    def violations(self, text):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "tests" / "unit").mkdir(parents=True)
            (root / "tests" / "unit" / "a_test.cc").write_text(TESTS, encoding="utf-8")
            if text is not None:
                (root / check_behaviours.PAGE).write_text(text, encoding="utf-8")
            return list(check_behaviours.violations(root))

    def test_a_true_page(self):
        self.assertEqual([], self.violations(page(
            n1=row(1, "`Fixture.Two`, `Table.Three`", "better: how"),
            n2=row(2, "—", "differs: why"),
            n3=row(3, "—", "out of scope (HTTP/1.1 only)"),
            n5=row(5, verdict="same as Go's tip; but"))))

    def test_each_untruth(self):
        for text, says in (
                (None, "is missing"),
                (page(n7=""), "7 is missing"),
                (page(n7=row(7) + row(7)), "7 is there twice"),
                (page(n7=row(7) + row(8)), "8 is not a number of the list"),
                (page(n7=row(7, "`Suite.Gone`")), "no test is called Suite.Gone"),
                (page(n7=row(7, verdict="better: see `Suite.Gone`")), "no test is called Suite.Gone"),
                (page(n7=row(7, "—")), "names no test"),
                (page(n7=row(7, verdict="fine")), "the verdict is none of"),
                (page(n7=row(7, verdict="samewise")), "the verdict is none of"),
                (page(n7=row(7, verdict="differs")), "not how or why"),
                (page(n7=row(7, verdict="better:")), "not how or why"),
                (page(n7="| 7 | TestX | asks | `Suite.One` |\n" + row(7)), "has 4 cells")):
            with self.subTest(says=says):
                found = self.violations(text)
                self.assertEqual(1, len(found), found)
                self.assertIn(says, found[0])


if __name__ == "__main__":
    unittest.main()
