#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what the compiler does not: who may include whom, sizes, licences, docs.

    check_tree.py [TREE]     prints one line for each violation; exit status 1 if there is any

A rule is a function that gets the tree and yields (path, line, what is wrong and what to do). tests/checks/
check_tree_test.py shows each of them a tree that breaks it.
"""
import os
import pathlib
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CODE = (".h", ".cc", ".c")
MAX_LINES = 400
MAX_MAIN_LINES = 40
BUILT = (".o", ".skel.h", ".so", ".a", ".pyc")


class Tree:
    """The tracked files of a work tree; every file but build*/ and hidden folders' if it is not one of git's."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        git = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            capture_output=True, check=False)
        if git.returncode == 0 and git.stdout:
            names = git.stdout.decode().rstrip("\0").split("\0")
        else:
            names = self._walk()
        self.paths = sorted(name for name in names if (self.root / name).is_file())

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f != ".git" and not f.startswith("build")]
            for file in files:
                yield str((pathlib.Path(folder) / file).relative_to(self.root))

    def lines(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace").splitlines()

    def under(self, *folders):
        return [p for p in self.paths if p.startswith(folders)]

    def code(self, *folders):
        return [p for p in (self.under(*folders) if folders else self.paths) if p.endswith(CODE)]

    def includes(self, path):
        """(line number, quote, name) of each #include."""
        for number, line in enumerate(self.lines(path), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1], match[2]


def is_std(name):
    return re.fullmatch(r"[a-z_0-9]+", name) is not None


def public_headers_are_self_sufficient(tree):
    """Public headers include the standard library, tl/expected.hpp and each other; unique_fd.h also unistd.h."""
    for path in tree.code("lib/include/"):
        for number, _, name in tree.includes(path):
            allowed = is_std(name) or name == "tl/expected.hpp" or name.startswith("conntrace/")
            if path.endswith("/unique_fd.h") and name == "unistd.h":
                allowed = True
            if not allowed:
                yield path, number, f"a public header includes <{name}>; hide it behind an Impl"


POOL_STD_REFUSED = {"thread", "mutex", "condition_variable", "future", "atomic", "ctime", "iostream", "fstream"}
POOL_OWN = {"clock.h", "host_limits.h", "ids.h", "reasons.h", "vocabulary.h", "text.h"}
CLOCK_CALL = re.compile(r"\b(mono_now|clock_pair_now|clock_gettime|gettimeofday|(?:steady|system)_clock)\b")


def pool_is_pure(tree):
    """lib/pool has no sockets, threads or libcurl, and gets the time from its caller."""
    for path in tree.code("lib/pool/"):
        for number, _, name in tree.includes(path):
            if name.startswith("conntrace/"):
                allowed = name.removeprefix("conntrace/") in POOL_OWN
            else:
                allowed = name.startswith("pool/") or (is_std(name) and name not in POOL_STD_REFUSED)
            if not allowed:
                yield path, number, f"lib/pool includes {name}; it is a pure state machine"
        for number, line in enumerate(tree.lines(path), 1):
            call = CLOCK_CALL.search(line.partition("//")[0])
            if call:
                yield path, number, f"lib/pool asks a clock ({call[1]}); its inputs say the time"


def lib_stands_alone(tree):
    """lib knows neither the agent nor the CLI nor BPF."""
    for path in tree.code("lib/"):
        for number, _, name in tree.includes(path):
            if name.startswith(("agent/", "cli/", "bpf/", "../")) or name.endswith(".skel.h"):
                yield path, number, f"lib includes {name}"


def bpf_is_crossed_in_one_place(tree):
    """Outside bpf/ only bpf/kernel_event.h (and what is generated from the programs) is included."""
    private = {pathlib.PurePath(p).name for p in tree.code("bpf/")} - {"kernel_event.h"}
    for path in tree.code():
        inside = path.startswith("bpf/")
        for number, quote, name in tree.includes(path):
            base = pathlib.PurePath(name).name
            if inside:
                if quote == '"' and base not in private | {"kernel_event.h"} and name != "conntrace/vocabulary.h":
                    yield path, number, f"bpf/ includes {name}; it shares only conntrace/vocabulary.h"
            elif quote == '"' and base in private:
                yield path, number, f"{name} is private to bpf/; kernel_event.h is what crosses"


def cli_uses_the_agents_header(tree):
    """cli/ and examples/ reach the agent through agent/observer.h, the library through its public headers."""
    agent = {pathlib.PurePath(p).name for p in tree.code("agent/")} - {"observer.h"}
    own = {pathlib.PurePath(p).name for p in tree.code("cli/")}
    for path in tree.code("cli/", "examples/"):
        for number, quote, name in tree.includes(path):
            base = pathlib.PurePath(name).name
            if name.startswith("agent/") and name != "agent/observer.h":
                yield path, number, f"includes {name}; agent/observer.h is the one header others use"
            elif quote == '"' and "/" not in name and base in agent - own:
                yield path, number, f"includes the agent's private {name}"
            elif name.startswith(("base/", "pool/", "transport/", "http/", "client/", "record/")):
                if (tree.root / "lib" / name).exists():
                    yield path, number, f"includes the library's private {name}"


def main_only_forwards(tree):
    """main.cc parses, builds, runs, maps the result to an exit status."""
    for path in tree.code():
        if pathlib.PurePath(path).name == "main.cc":
            length = len(tree.lines(path))
            if length >= MAX_MAIN_LINES:
                yield path, length, f"{length} lines; a main.cc has less than {MAX_MAIN_LINES}"


def files_have_one_subject(tree):
    for path in tree.code():
        length = len(tree.lines(path))
        if length > MAX_LINES:
            yield path, length, f"{length} lines; beyond {MAX_LINES} a file has two subjects"


def licences_are_named(tree):
    """The first three lines of a source say its licence."""
    scripts = (".py", ".sh", "meson.build", "meson_options.txt")
    for path in tree.paths:
        head = tree.lines(path)[:3] if path.endswith(CODE + scripts) or path == "dev" else None
        if head is None:
            continue
        dual = path.startswith("bpf/") and path.endswith(CODE)
        wanted = "SPDX-License-Identifier: " + ("GPL-2.0 OR BSD-2-Clause" if dual else "Apache-2.0")
        if not any(line.rstrip(" */").endswith(wanted) for line in head):
            yield path, 1, f"says nowhere at its top: {wanted}"


def vocabulary_rows(tree):
    text = "\n".join(tree.lines("lib/include/conntrace/vocabulary.h"))
    return re.findall(r"^\s*X\((\w+), \w+, (?:HOOK|KERNEL|STREAM),", text, re.MULTILINE)


def events_are_documented(tree):
    """Each row of the vocabulary has its heading in docs/events.md."""
    kinds = vocabulary_rows(tree)
    if not kinds:
        yield "lib/include/conntrace/vocabulary.h", 1, "no rows found; has their form changed?"
        return
    docs = "docs/events.md"
    if docs not in tree.paths:
        yield docs, 1, "is missing"
        return
    headings = {line.lstrip("# `").rstrip("` ") for line in tree.lines(docs) if line.startswith("#")}
    for kind in kinds:
        if kind not in headings:
            yield docs, 1, f"has no heading for {kind}"


ORACLE_TEST = re.compile(r"^TEST_F\(GoOracle, (\w+)\)", re.MULTILINE)


def comparisons_with_go_are_documented(tree):
    """The tests of tests/oracle and the rows of docs/go.md are the same."""
    tests = {name: path for path in tree.code("tests/oracle/") for name in ORACLE_TEST.findall("\n".join(tree.lines(path)))}
    docs = "docs/go.md"
    rows = set(re.findall(r"^\| `(\w+)` \|", "\n".join(tree.lines(docs)), re.MULTILINE)) if docs in tree.paths else set()
    for name in sorted(tests.keys() - rows):
        yield tests[name], 1, f"{docs} has no row for {name}"
    for name in sorted(rows - tests.keys()):
        yield docs, 1, f"has a row for {name}, which is no test"


MACHINE_PATH = re.compile(r"""(?:^|[\s"'=(:`])(/(?:work|root|home|Users|builds)/[\w.-]+)""")


def no_machine_is_named(tree):
    """No tracked file names a path of the machine that it was written on."""
    for path in tree.paths:
        for number, line in enumerate(tree.lines(path), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield path, number, f"names {match[1]}, a path of one machine"


def nothing_built_is_tracked(tree):
    for path in tree.paths:
        if path.endswith(BUILT):
            yield path, 1, "is built; it is not committed"


RULES = (
    public_headers_are_self_sufficient,
    pool_is_pure,
    lib_stands_alone,
    bpf_is_crossed_in_one_place,
    cli_uses_the_agents_header,
    main_only_forwards,
    files_have_one_subject,
    licences_are_named,
    events_are_documented,
    comparisons_with_go_are_documented,
    no_machine_is_named,
    nothing_built_is_tracked,
)


def violations(tree):
    for rule in RULES:
        for path, line, what in rule(tree):
            yield f"{path}:{line}: {what} [{rule.__name__}]"


def main():
    tree = Tree(sys.argv[1] if len(sys.argv) > 1 else ".")
    found = list(violations(tree))
    print("\n".join(found) if found else f"{len(tree.paths)} files keep {len(RULES)} rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
