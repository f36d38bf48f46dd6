# SPDX-License-Identifier: Apache-2.0
"""The program as users run it: what it prints, what it exits with, and what it does with bad input.

Arguments: paths of conntrace, origin_server and checkout. Nothing sleeps and hopes: each wait has a condition and a
deadline. What needs the kernel's side runs as root and, under CONNTRACE_REQUIRE_BPF=1, must.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import jsonschema

from program_support import PATIENCE, OriginServer, wait_until

CONNTRACE, ORIGIN_SERVER, CHECKOUT = sys.argv[1:4]
MAY_OBSERVE = os.geteuid() == 0
MUST_OBSERVE = os.environ.get("CONNTRACE_REQUIRE_BPF") == "1"


def run(*arguments, **options):
    options.setdefault("timeout", 100)
    return subprocess.run([CONNTRACE, *map(str, arguments)], capture_output=True, text=True, **options)


def timelines(text, kind=None):
    parsed = [json.loads(line) for line in text.splitlines()]
    return [timeline for timeline in parsed if kind is None or timeline["kind"] == kind]


def needs_kernel(test):
    """Root without the agent's part is not enough: a build without BPF cannot observe either."""

    def wrapped(self):
        probe = run("watch", "--source", "embedded", "--duration", "0.01", "--pid", os.getpid())
        if probe.returncode != 0:
            if MUST_OBSERVE:
                self.fail(f"CONNTRACE_REQUIRE_BPF=1, but: {probe.stderr}")
            self.skipTest(probe.stderr)
        test(self)

    return wrapped


class Server(OriginServer):
    def __init__(self, *arguments):
        super().__init__(ORIGIN_SERVER, *arguments)


class Temporary(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="conntrace-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def recording(self):
        """Event records of a few requests, made one after the other on one connection by the example application."""
        path = self.folder / "events.jsonl"
        with Server() as server:
            done = subprocess.run(
                [CHECKOUT, "--url", server.url(), "--rate", "200", "--count", "5", "--max-conns-per-host", "1"]
                + ["--record", str(path)],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        return path


class Usage(unittest.TestCase):
    def test_help_and_version(self):
        for arguments in [(), ("--help",), ("--version",), ("watch", "--help"), ("demo", "--help")]:
            result = run(*arguments)
            self.assertEqual(result.returncode, 0, arguments)
            self.assertTrue(result.stdout)

    def test_wrong_usage_is_2_and_says_what(self):
        for arguments in [
            ("frobnicate",),
            ("watch",),
            ("watch", "--pid", "x"),
            ("watch", "--pid", "1", "--source", "hearsay"),
            ("watch", "--pid", "1", "--json", "--events"),
            ("record", "--pid", "1"),
            ("correlate",),
            ("schema", "nonsense"),
        ]:
            result = run(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result))
            self.assertTrue(result.stderr, arguments)
            self.assertEqual(result.stdout, "", arguments)

    def test_schemas_are_json(self):
        for which in ("event", "timeline", "stats"):
            self.assertIn("$schema", json.loads(run("schema", which).stdout))

    def test_doctor(self):
        result = run("doctor", "--json")
        self.assertIn(result.returncode, (0, 1, 77))
        report = json.loads(result.stdout)
        self.assertTrue(report)
        self.assertTrue(run("doctor").stdout)


class Files(Temporary):
    def test_correlate_and_show(self):
        events = self.recording()
        output = self.folder / "timelines.jsonl"
        result = run("correlate", events, "-o", output)
        self.assertEqual(result.returncode, 0, result.stderr)
        requests = timelines(output.read_text(), "request")
        self.assertEqual([r["request"]["number"] for r in requests], [1, 2, 3, 4, 5])
        self.assertTrue(all(r["complete"] for r in requests))
        self.assertEqual([r["connection"]["reused"] for r in requests], [False, True, True, True, True])
        for source in (events, output):
            shown = run("show", source)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("/hello", shown.stdout)
            one = run("show", source, "--request", 2)
            self.assertEqual(one.returncode, 0, one.stderr)
            self.assertLess(len(one.stdout), len(shown.stdout))
        self.assertNotEqual(run("show", output, "--request", 99).returncode, 0)

    def test_stats_of_events_and_of_timelines_agree(self):
        events = self.recording()
        output = self.folder / "timelines.jsonl"
        self.assertEqual(run("correlate", events, "-o", output).returncode, 0)
        of_events, of_timelines = (run("stats", source, "--json") for source in (events, output))
        self.assertEqual(of_events.returncode, 0, of_events.stderr)
        self.assertEqual(of_events.stdout, of_timelines.stdout)
        report = json.loads(of_events.stdout)
        jsonschema.Draft202012Validator(json.loads(run("schema", "stats").stdout)).validate(report)
        self.assertEqual((report["requests"], report["reused"], report["fresh"]), (5, 4, 1))
        total = next(p["times"] for p in report["phases"] if p["phase"] == "total")
        durations = [r["duration_ns"] for r in timelines(output.read_text(), "request")]
        self.assertEqual((total["count"], total["sum_ns"], total["max_ns"]), (5, sum(durations), max(durations)))
        shown = run("stats", output)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("4 of 5 on a used connection (80.0 %)", shown.stdout)
        self.assertEqual(run("stats", self.folder / "missing").returncode, 1)

    def test_stdin(self):
        events = self.recording()
        with events.open() as stdin:
            result = run("correlate", "-", stdin=stdin)
        self.assertEqual(len(timelines(result.stdout, "request")), 5)

    def test_not_event_records(self):
        for content in ("hello\n", "\x7fELF\0\0\n", '{"a":1}\n', "[]\n"):
            path = self.folder / "other"
            path.write_text(content)
            result = run("correlate", path)
            self.assertEqual(result.returncode, 1, content)
            self.assertIn(str(path), result.stderr)
            self.assertEqual(result.stdout, "")

    def test_missing_file_and_folder(self):
        for path in (self.folder / "missing", self.folder):
            result = run("correlate", path)
            self.assertEqual(result.returncode, 1)
            self.assertIn(str(path), result.stderr)

    def test_truncated_last_line_is_reported_and_the_rest_used(self):
        events = self.recording()
        whole = events.read_bytes()
        events.write_bytes(whole[:-20])
        result = run("correlate", events)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(timelines(result.stdout, "request")), 5)
        self.assertIn("line", result.stderr)

    def test_newer_schema(self):
        events = self.recording()
        events.write_text(events.read_text().replace("conntrace.event/1", "conntrace.event/2"))
        result = run("correlate", events)
        self.assertEqual(result.returncode, 1)
        self.assertIn("newer", result.stderr)

    def test_output_is_the_input(self):
        events = self.recording()
        before = events.read_bytes()
        self.assertEqual(run("correlate", events, "-o", events).returncode, 2)
        self.assertEqual(events.read_bytes(), before)

    def test_full_disk(self):
        result = run("correlate", self.recording(), "-o", "/dev/full")
        self.assertEqual(result.returncode, 1)
        self.assertIn("No space left", result.stderr)

    def test_closed_pipe_is_quiet(self):
        events = self.recording()
        read_end, write_end = os.pipe()
        os.close(read_end)
        with os.fdopen(write_end, "w") as stdout:
            result = subprocess.run(
                [CONNTRACE, "correlate", str(events)], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
            )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("error", result.stderr.lower())


class Demo(unittest.TestCase):
    def check(self, result, privileged):
        self.assertEqual(result.returncode, 0, result.stderr)
        requests = {r["request"]["number"]: r for r in timelines(result.stdout, "request")}
        blocks = [p for r in requests.values() for p in r["phases"] if p["name"] == "blocked"]
        (blocked,) = [p for p in blocks if p["cause"] == "max_conns_per_host"]
        self.assertGreaterEqual(len(blocked["holders"]), 2)
        self.assertAlmostEqual(sum(h["share"] for h in blocked["holders"]) + blocked["others_share"], 1, places=6)
        self.assertIn(blocked["released_by"], [h["request"] for h in blocked["holders"]])
        reasons = {c["closed"]["reason"] for c in timelines(result.stdout, "connection") if c["closed"]}
        self.assertLessEqual({"idle_timeout", "server_closed_idle"}, reasons)
        why = {r["connection"]["why_new"] for r in requests.values() if r["connection"]}
        self.assertLessEqual({"no_idle", "idle_expired", "idle_dead"}, why)
        errors = [r["error"]["phase"] for r in requests.values() if r["error"]]
        self.assertEqual(sorted(errors), ["connect", "dns"])
        self.assertTrue(all(r["complete"] for r in requests.values()))
        for request in requests.values():
            end = 0
            for phase in request["phases"]:
                self.assertGreaterEqual(phase["start_ns"], end, request)
                end = phase["start_ns"] + phase["duration_ns"]
            self.assertLessEqual(end, request["duration_ns"])
            connects = [a for p in request["phases"] if p["name"] == "connect" for a in p["attempts"]]
            for attempt in connects:
                self.assertEqual(attempt["kernel"] is not None, privileged, attempt)

    @needs_kernel
    def test_as_root(self):
        self.check(run("demo", "--json"), True)

    def test_unprivileged(self):
        command = [CONNTRACE, "demo", "--json"]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.check(result, False)
        self.assertIn("what the kernel saw", result.stderr)

    def test_for_people(self):
        result = run("demo", "--color", "never", env={**os.environ, "COLUMNS": "80"})
        self.assertEqual(result.returncode, 0, result.stderr)
        for number in range(1, 8):
            self.assertIn(f"\n{number}. " if number > 1 else "1. ", result.stdout)
        self.assertNotIn("\x1b", result.stdout)

    def test_port_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            command = [CONNTRACE, "demo", "--port", str(port)]
            if os.geteuid() == 0:  # in the host's network, where the port is taken
                command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
            result = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn(str(port), result.stderr)


class Watch(Temporary):
    def start(self, *arguments, command="watch", **options):
        process = subprocess.Popen(
            [CONNTRACE, command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        patience = threading.Timer(PATIENCE, process.kill)  # which ends whatever waits for its output
        patience.start()
        self.addCleanup(patience.cancel)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_unknown_pid_is_3(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        for command in ("watch", "record"):
            extra = ["-o", str(self.folder / "x")] if command == "record" else []
            result = run(command, "--pid", gone.pid, *extra)
            self.assertEqual(result.returncode, 3, result.stderr)
            self.assertIn(str(gone.pid), result.stderr)

    def test_pid_that_ends_before_anything_was_seen_is_3(self):
        sleeper = subprocess.Popen(["sleep", "100"])
        watch = self.start("--pid", sleeper.pid)
        self.assertIn("watching", watch.stderr.readline())
        sleeper.kill()
        sleeper.wait()
        self.assertEqual(watch.wait(PATIENCE), 3)

    def test_embedded_without_privileges_is_77(self):
        command = [CONNTRACE, "watch", "--source", "embedded", "--duration", "1", "--", "true"]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if "does not contain" in result.stderr:
            self.assertEqual(result.returncode, 1)
        else:
            self.assertEqual(result.returncode, 77, result.stderr)
            self.assertIn("CAP_BPF", result.stderr)

    def test_status_of_the_command_is_passed_on(self):
        for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)):
            result = run("watch", "--source", "proc", "--", "sh", "-c", script)
            self.assertEqual(result.returncode, status, result.stderr)
        missing = run("watch", "--", "/no/such/command")
        self.assertEqual(missing.returncode, 3, missing.stderr)
        self.assertIn("/no/such/command", missing.stderr)

    def read_until(self, watch, enough):
        """The lines up to the one whose timeline is enough."""
        lines = []
        while not lines or not enough(json.loads(lines[-1])):
            line = watch.stdout.readline()
            self.assertTrue(line, "the stream ended")
            lines.append(line)
        return lines

    def rest_of(self, watch):
        """What else came, and what it said. communicate() would lose what readline() has read ahead."""
        rest, said = watch.stdout.read(), watch.stderr.read()
        self.assertEqual(watch.wait(), 0, said)
        return rest, said

    def watch_until(self, watch, enough):
        """Reads timelines until one is enough, ends the watch, and returns all that came and what it said."""
        lines = self.read_until(watch, enough)
        watch.send_signal(signal.SIGINT)
        rest, said = self.rest_of(watch)
        return timelines("".join(lines) + rest), said

    def live_requests(self, *arguments):
        """Joins the example application while it runs, and returns its process and the timelines that came."""
        with Server() as server:
            application = subprocess.Popen(
                [CHECKOUT, "--url", server.url(), "--rate", "100"], stdout=subprocess.PIPE, text=True
            )
            try:
                application.stdout.readline()
                watch = self.start("--pid", application.pid, "--json", *arguments)
                complete = []

                def enough(timeline):
                    if timeline["kind"] == "request" and timeline["complete"]:
                        complete.append(timeline)
                    return len(complete) == 20

                seen, said = self.watch_until(watch, enough)
                return application.pid, seen, said
            finally:
                application.terminate()
                application.wait()
                application.stdout.close()

    def test_application_with_the_library(self):
        pid, seen, said = self.live_requests("--source", "hooks")
        requests = [t for t in seen if t["kind"] == "request"]
        self.assertEqual({r["process"]["pid"] for r in requests}, {pid})
        # They come as they end; those under way at either end are incomplete, and others may have ended before those of
        # the beginning. From the first that was seen to begin: each once, none left out.
        complete = [r["request"]["number"] for r in requests if r["complete"]]
        self.assertGreaterEqual(len(complete), 20)
        numbers = sorted(r["request"]["number"] for r in requests)
        numbers = numbers[numbers.index(min(complete)) :]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertIn("requests", said)

    @needs_kernel
    def test_application_with_the_library_and_the_kernel(self):
        _, seen, _ = self.live_requests("--source", "embedded")
        joined = [t for t in seen if t["kind"] == "request" and {"hook", "kernel"} <= set(t["sources"])]
        self.assertGreaterEqual(len(joined), 10)
        self.assertTrue(all(t["connection"]["retransmits_during"] == 0 for t in joined if t["complete"]))

    @needs_kernel
    def test_commands_that_know_nothing_of_us(self):
        python = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()"
        with Server() as server:
            remote = f"127.0.0.1:{server.port}"

            def is_ours(timeline):
                return timeline["kind"] == "connection" and timeline["remote"] == remote

            for command in (["curl", "-s", server.url()], ["/usr/bin/python3", "-c", python, server.url()]):
                # The connection may end after the command: the shell stays until its timeline has come.
                watch = self.start("--json", "--", "sh", "-c", '"$@" && cat', "sh", *command, stdin=subprocess.PIPE)
                lines = self.read_until(watch, is_ours)
                watch.stdin.close()
                rest, _ = self.rest_of(watch)
                seen = timelines("".join(lines) + rest)
                connections = [c for c in seen if is_ours(c) and c["direction"] == "outgoing"]
                self.assertEqual(len(connections), 1, seen)
                connection = connections[0]
                self.assertGreater(connection["handshake_ns"], 0)
                self.assertEqual(connection["syn_retransmits"], 0)
                self.assertIn(connection["closed"]["by"], ("local", "peer"))
                self.assertEqual(connection["uses"], [])

    @needs_kernel
    def test_refused_connect_of_a_command(self):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            result = run("watch", "--json", "--", "curl", "-s", f"http://127.0.0.1:{port}/")
        self.assertEqual(result.returncode, 7, "curl's own status")
        (connection,) = [c for c in timelines(result.stdout, "connection") if c["remote"] == f"127.0.0.1:{port}"]
        self.assertEqual(connection["closed"]["how"], "refused")
        self.assertEqual(connection["closed"]["errno"], 111)

    def test_polled_source_needs_no_privilege(self):
        # A timeline comes when its connection has ended.
        with Server("--max-requests", "25") as server:
            remote = f"127.0.0.1:{server.port}"
            application = subprocess.Popen(
                [CHECKOUT, "--url", server.url(), "--rate", "50"], stdout=subprocess.PIPE, text=True
            )
            try:
                application.stdout.readline()
                watch = self.start("--pid", application.pid, "--source", "proc", "--json")
                seen, _ = self.watch_until(watch, lambda t: t["kind"] == "connection" and t["remote"] == remote)
            finally:
                application.terminate()
                application.wait()
                application.stdout.close()
        self.assertTrue([t for t in seen if t["kind"] == "process"])

    def test_record_then_correlate(self):
        path = self.folder / "events.jsonl"
        with Server() as server:
            application = subprocess.Popen(
                [CHECKOUT, "--url", server.url(), "--rate", "100"], stdout=subprocess.PIPE, text=True
            )
            try:
                application.stdout.readline()
                record = self.start("--pid", application.pid, "--source", "hooks", "-o", path, command="record")
                wait_until(
                    lambda: path.exists() and path.read_text().count('"kind":"request_done"') > 20, "20 requests recorded"
                )
                record.send_signal(signal.SIGINT)
                _, said = record.communicate(timeout=PATIENCE)
            finally:
                application.terminate()
                application.wait()
                application.stdout.close()
        self.assertEqual(record.returncode, 0, said)
        correlated = run("correlate", path)
        self.assertEqual(correlated.returncode, 0, correlated.stderr)
        self.assertGreater(len(timelines(correlated.stdout, "request")), 20)

    def test_output_that_is_full(self):
        with Server() as server:
            result = run("watch", "--source", "proc", "--json", "-o", "/dev/full", "--", "curl", "-s", server.url("/delay?ms=300"))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("No space left", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
