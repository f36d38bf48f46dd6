# SPDX-License-Identifier: Apache-2.0
"""The examples of the documentation compile.

Arguments: compiler, root of the tree, file names below it. In a file, each fenced block of C++ is the body of a function
that knows a `client` and its `transport`; one that has a main() is a program.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

PRELUDE = """
#include <conntrace/client.h>
#include <conntrace/pipe_body.h>
#include <conntrace/proxy_environment.h>
#include <conntrace/recorder.h>
#include <conntrace/tap.h>
#include <conntrace/worker_pool.h>
#include <cerrno>
#include <chrono>
#include <future>
#include <iostream>
#include <memory>
"""
FUNCTION = """
void example_{number}(std::shared_ptr<conntrace::Transport> shared, conntrace::Client client,
                      conntrace::Result<conntrace::Response> response) {{
  auto& transport = shared;
  {{
#line {line} "{file}"
{code}
  }}
}}
"""


def blocks(text):
    """(line, code) of each block: fenced as cpp, or, as in README.md, indented and beginning with #include."""
    for found in re.finditer(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]
    for found in re.finditer(r"^    #include(?:.*\n|\n)(?:    .*\n|\n)*", text, re.MULTILINE):
        yield text.count("\n", 0, found.start()) + 1, re.sub(r"^    ", "", found[0], flags=re.MULTILINE)


def main(compiler, root, *files):
    failed = compiled = 0
    for name in files:
        functions = []
        for number, (line, code) in enumerate(blocks((pathlib.Path(root) / name).read_text())):
            compiled += 1
            if "int main(" in code:
                program = code[: code.rindex("}") + 1]
                failed += not compiles(compiler, root, name, f'#line {line} "{name}"\n{program}')
            else:
                functions.append(FUNCTION.format(number=number, line=line, file=name, code=code))
        if functions:
            failed += not compiles(compiler, root, name, PRELUDE + "".join(functions))
    if compiled == 0:
        sys.exit("compile_docs: no example found: the fences have changed")
    print(f"{compiled} examples, {failed} files do not compile")
    return 1 if failed else 0


def compiles(compiler, root, name, code):
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as source:
        source.write(code)
        source.flush()
        command = [*compiler.split(), "-std=c++20", "-Wall", "-Wextra", "-Wno-unused", "-Wno-missing-field-initializers", "-fsyntax-only"]
        done = subprocess.run([*command, f"-I{root}/lib/include", source.name], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{name}:\n{done.stderr}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
