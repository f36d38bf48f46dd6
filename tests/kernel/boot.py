#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs on another kernel: boots it in qemu, emulated, with nothing but them.

    boot.py KERNEL PROGRAM…          KERNEL: a bzImage, or a folder where it is as vmlinuz

Exits with 0 if each program did, 1 if not, 77 if qemu or the kernel is not here; CONNTRACE_REQUIRE_KERNEL=1 makes that
a failure. Needs no privileges.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

QEMU = "qemu-system-x86_64"
PATIENCE = 1500  # seconds; emulated, a kernel and these programs take a few minutes
NOT_TEXT = re.compile(r"[^\t\x20-\x7e]")  # a console speaks to terminals, its log ends in a document of XML
END = re.compile(r"^conntrace-boot: end (\S+) (\d+)$")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /sbin
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root {environment}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
echo "conntrace-boot: kernel $(uname -r)"
for program in {programs}; do
  echo "conntrace-boot: begin $program"
  /tests/$program {arguments} </dev/null
  echo "conntrace-boot: end $program $?"
done
poweroff -f
"""


def missing(why):
    print(f"boot.py: {why}", file=sys.stderr)
    sys.exit(1 if os.environ.get("CONNTRACE_REQUIRE_KERNEL") == "1" else 77)


def libraries_of(program):
    """Paths of the shared libraries that it loads, and of the loader."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}


def make_root(root, programs, arguments):
    (root / "bin").mkdir(parents=True)
    (root / "tests").mkdir()
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for path in set().union(*map(libraries_of, programs)):
        loader = path.name.startswith("ld-linux")  # which programs name by its whole path
        target = root / path.relative_to("/") if loader else root / "lib" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["objcopy", "--strip-debug", path.resolve(), target], check=True)
    for program in programs:
        target = root / "tests" / program.name
        subprocess.run(["objcopy", "--strip-debug", program, target], check=True)
    environment = "LD_LIBRARY_PATH=/lib CONNTRACE_REQUIRE_BPF=1 GTEST_COLOR=no"
    names = " ".join(program.name for program in programs)
    (root / "init").write_text(INIT.format(environment=environment, programs=names, arguments=arguments))
    (root / "init").chmod(0o755)


def make_initramfs(root, image):
    names = b"".join(bytes(path.relative_to(root)) + b"\0" for path in sorted(root.rglob("*")))
    with image.open("wb") as output:
        subprocess.run(
            ["cpio", "--quiet", "-0", "-o", "-H", "newc", "-R", "0:0"], cwd=root, input=names, stdout=output, check=True
        )


def boot(kernel, image):
    """Yields the lines of its console."""
    kernel_arguments = "console=ttyS0 quiet panic=-1 random.trust_cpu=on"
    command = [
        QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nic", "none", "-no-reboot",
        "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", image,
        "-append", kernel_arguments,
    ]
    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                yield NOT_TEXT.sub("", line)
        finally:
            timer.cancel()
            process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arguments", default="", help="for each program")
    parser.add_argument("--quiet", action="store_true", help="only what the programs print")
    parser.add_argument("kernel", type=pathlib.Path)
    parser.add_argument("programs", type=pathlib.Path, nargs="+")
    options = parser.parse_args()
    kernel = options.kernel / "vmlinuz" if options.kernel.is_dir() else options.kernel
    for tool in (QEMU, "busybox", "cpio", "objcopy", "ldd"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not here")
    if not kernel.exists():
        missing(f"no kernel at {kernel}; ./dev test fetches one")
    ended = {}
    with tempfile.TemporaryDirectory(prefix="conntrace-boot-") as folder:
        root = pathlib.Path(folder, "root")
        image = pathlib.Path(folder, "initramfs")
        make_root(root, [program.resolve() for program in options.programs], options.arguments)
        make_initramfs(root, image)
        for line in boot(kernel, image):
            if end := END.match(line):
                ended[end[1]] = int(end[2])
            if not options.quiet or not line.startswith("conntrace-boot:"):
                print(line, flush=True)
    failed = [program.name for program in options.programs if ended.get(program.name) != 0]
    for name in failed:
        status = ended.get(name)
        print(f"boot.py: {name}: " + ("did not end" if status is None else f"status {status}"), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
