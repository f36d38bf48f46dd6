#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that docs/go-behaviours.md says of every behaviour what the tree can show.

    check_behaviours.py [TREE]     prints one line for each violation; exit status 1 if there is any
"""
import pathlib
import re
import sys

PAGE = "docs/go-behaviours.md"
# The behaviours of Go's tests that were chosen, by number; some numbers were never given.
NUMBERS = frozenset(
    int(number)
    for number in """
    1 2 3 5 6 7 9 10 11 13 14 15 17 18 19 21
    22 23 25 26 27 29 30 31 33 34 35 37 38
    39 41 42 43 45 46 47 49 50 51 53 54 55 57 58 59
    61 62 63 65 66
    67 69 70 71 73 74 75 77 78 79 81 82 83 85
    86 87 89 90 91 93
    94 95 97 98 99 101 102
    103 105 106 107 109
    110 111 113 114 115
    """.split())
TEST = re.compile(r"^\s*TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
NAME = re.compile(r"`(\w+\.\w+)`")
VERDICT = re.compile(r"(same|better|differs|out of scope \(HTTP/1\.1 only\))(?=[\s:;,]|$)(.*)")


def tests_of(root):
    """Suite.Name of every test of the tree."""
    return {f"{suite}.{name}"
            for path in sorted((root / "tests").rglob("*.cc"))
            for suite, name in TEST.findall(path.read_text(encoding="utf-8"))}


def violations(root):
    page = root / PAGE
    if not page.is_file():
        yield f"{PAGE}: is missing"
        return
    known = tests_of(root)
    seen = set()
    for line_number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not re.match(r"\| \d", line):
            continue
        where = f"{PAGE}:{line_number}"
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) != 5 or not all(cells):
            yield f"{where}: has {len(cells)} cells, or an empty one; a behaviour has five"
            continue
        number, _, _, ours, verdict = cells
        if not number.isdigit() or int(number) not in NUMBERS:
            yield f"{where}: {number} is not a number of the list"
        elif int(number) in seen:
            yield f"{where}: {number} is there twice"
        else:
            seen.add(int(number))
        named = NAME.findall(ours)
        for test in NAME.findall(line):
            if test not in known:
                yield f"{where}: no test is called {test}"
        match = VERDICT.match(verdict)
        if not match:
            yield f"{where}: the verdict is none of same, better, differs, out of scope (HTTP/1.1 only)"
            continue
        if match[1] in ("same", "better") and not named:
            yield f"{where}: says {match[1]} and names no test"
        if match[1] in ("better", "differs") and not match[2].lstrip(": "):
            yield f"{where}: says {match[1]} and not how or why"
    for number in sorted(NUMBERS - seen):
        yield f"{PAGE}: {number} is missing"


def main():
    found = list(violations(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(found) if found else f"{len(NUMBERS)} behaviours have their rows")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
