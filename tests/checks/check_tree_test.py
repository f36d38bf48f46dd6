#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows check_tree.py one tree that keeps every rule, and for each rule trees that break it and nothing else."""
import pathlib
import tempfile
import unittest

import check_tree

APACHE = "// SPDX-License-Identifier: Apache-2.0\n"
DUAL = "// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause\n"
VOCABULARY = APACHE + '#define CONNTRACE_EVENTS(X) \\\n  X(get_conn, GetConnInfo, HOOK, "…") \\\n  X(gap, GapInfo, STREAM, "…")\n'

GOOD = {
    "lib/include/conntrace/vocabulary.h": VOCABULARY,
    "lib/include/conntrace/transport.h": APACHE + '#include <tl/expected.hpp>\n#include <chrono>\n#include "conntrace/ids.h"\n',
    "lib/include/conntrace/unique_fd.h": APACHE + "#include <unistd.h>\n",
    "lib/pool/pool_core.cc": APACHE + '#include "pool/pool_core.h"\n#include <vector>\n#include "conntrace/clock.h"\n',
    "lib/transport/dialer.cc": APACHE + "#include <curl/curl.h>\n#include <sys/socket.h>\n",
    "bpf/kernel_event.h": DUAL,
    "bpf/kernel_types.h": DUAL,
    "bpf/tcp.bpf.c": DUAL + '#include <bpf/bpf_helpers.h>\n#include "kernel_types.h"\n#include "kernel_event.h"\n',
    "agent/observer.h": APACHE,
    "agent/loader.h": APACHE,
    "agent/loader.cc": APACHE + '#include "bpf/kernel_event.h"\n#include "loader.h"\n#include "tcp.skel.h"\n',
    "cli/main.cc": APACHE + "int main() { return 0; }\n",
    "cli/sources/embedded.cc": APACHE + '#include "agent/observer.h"\n',
    "docs/events.md": "# Events\n\n## `get_conn`\n\n## gap\n",
    "docs/go.md": "| `Fresh` | | |\n",
    "tests/oracle/pool_test.cc": APACHE + "TEST_F(GoOracle, Fresh) {}\n",
    "dev": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
}

# rule, the file that breaks it, its text
BAD = (
    ("public_headers_are_self_sufficient", "lib/include/conntrace/a.h", APACHE + "#include <curl/curl.h>\n"),
    ("public_headers_are_self_sufficient", "lib/include/conntrace/a.h", APACHE + "#include <nlohmann/json.hpp>\n"),
    ("public_headers_are_self_sufficient", "lib/include/conntrace/a.h", APACHE + "#  include <unistd.h>\n"),
    ("public_headers_are_self_sufficient", "lib/include/conntrace/a.h", APACHE + '#include "base/owned.h"\n'),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + "#include <sys/socket.h>\n"),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + "#include <curl/curl.h>\n"),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + "#include <thread>\n"),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + '#include "conntrace/unique_fd.h"\n'),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + "auto now = conntrace::mono_now();\n"),
    ("pool_is_pure", "lib/pool/a.cc", APACHE + "auto now = std::chrono::steady_clock::now();\n"),
    ("lib_stands_alone", "lib/record/a.cc", APACHE + '#include "agent/observer.h"\n'),
    ("lib_stands_alone", "lib/record/a.cc", APACHE + '#include "cli/timeline/model.h"\n'),
    ("lib_stands_alone", "lib/record/a.cc", APACHE + '#include "bpf/kernel_event.h"\n'),
    ("bpf_is_crossed_in_one_place", "agent/a.cc", APACHE + '#include "bpf/kernel_types.h"\n'),
    ("bpf_is_crossed_in_one_place", "agent/a.cc", APACHE + '#include "kernel_types.h"\n'),
    ("bpf_is_crossed_in_one_place", "bpf/a.bpf.c", DUAL + '#include "conntrace/event.h"\n'),
    ("cli_uses_the_agents_header", "cli/commands/a.cc", APACHE + '#include "agent/loader.h"\n'),
    ("cli_uses_the_agents_header", "cli/commands/a.cc", APACHE + '#include "loader.h"\n'),
    ("cli_uses_the_agents_header", "examples/a.cc", APACHE + '#include "pool/pool_core.cc"\n'),
    ("main_only_forwards", "cli/main.cc", APACHE + "\n" * 39),
    ("files_have_one_subject", "lib/record/a.cc", APACHE + "\n" * 400),
    ("licences_are_named", "lib/record/a.cc", "int a;\n"),
    ("licences_are_named", "lib/record/a.cc", "\n\n\n" + APACHE),
    ("licences_are_named", "bpf/a.bpf.c", APACHE),
    ("licences_are_named", "lib/record/a.cc", DUAL),
    ("licences_are_named", "lib/record/meson.build", "lib_sources += files('a.cc')\n"),
    ("events_are_documented", "docs/events.md", "# Events\n\n## get_conn\n\nand gap\n"),
    ("events_are_documented", "docs/events.md", None),
    ("events_are_documented", "lib/include/conntrace/vocabulary.h", APACHE),
    ("comparisons_with_go_are_documented", "tests/oracle/a_test.cc", APACHE + "TEST_F(GoOracle, Reused) {}\n"),
    ("comparisons_with_go_are_documented", "docs/go.md", "| `Fresh` | | |\n| `Gone` | | |\n"),
    ("comparisons_with_go_are_documented", "docs/go.md", None),
    ("no_machine_is_named", "README.md", "built in /" + "work/x/build\n"),
    ("no_machine_is_named", "cli/a.cc", APACHE + 'auto path = "/' + 'root/clone";\n'),
    ("nothing_built_is_tracked", "agent/tcp.skel.h", APACHE),
)


def broken_rules(files):
    """The names of the rules that a tree of these files breaks."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return {line.rpartition("[")[2].rstrip("]") for line in check_tree.violations(check_tree.Tree(folder))}


class CheckTree(unittest.TestCase):
    def test_a_good_tree_keeps_every_rule(self):
        self.assertEqual(broken_rules(GOOD), set())

    def test_each_bad_tree_breaks_its_rule_alone(self):
        for rule, path, text in BAD:
            with self.subTest(rule=rule, path=path, text=text):
                files = {**GOOD, path: text}
                self.assertEqual(broken_rules({p: t for p, t in files.items() if t is not None}), {rule})

    def test_each_rule_has_a_tree_that_breaks_it(self):
        self.assertEqual({rule.__name__ for rule in check_tree.RULES}, {rule for rule, _, _ in BAD})


if __name__ == "__main__":
    unittest.main()
