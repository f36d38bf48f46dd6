# SPDX-License-Identifier: Apache-2.0
"""conntrace-agent as several users have it: who sees what, and what bad clients can do to it.

Arguments: paths of conntrace, conntrace-agent, origin_server and checkout. Needs root and the BPF programs; under
CONNTRACE_REQUIRE_BPF=1 it must have them.
"""

import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from program_support import PATIENCE, OriginServer, wait_until

CONNTRACE, AGENT, ORIGIN_SERVER, CHECKOUT = sys.argv[1:5]
NOBODY = pwd.getpwnam("nobody")
CAPABILITIES = {"cap_dac_read_search": 2, "cap_net_admin": 12, "cap_sys_ptrace": 19, "cap_perfmon": 38, "cap_bpf": 39}
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


def programs_of(pid):
    """Ids of the BPF programs that a process holds."""
    found = set()
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = entry.read_text().splitlines()
        except OSError:
            continue  # closed meanwhile
        found |= {int(line.split()[1]) for line in lines if line.startswith("prog_id:")}
    return found


def exists(program):
    return subprocess.run(["bpftool", "prog", "show", "id", str(program)], capture_output=True).returncode == 0


class Agent:
    def __init__(self, folder, *arguments, prefix=()):
        self.path = str(folder / "run" / "agent.sock")  # the agent makes the last folder
        self.environment = dict(os.environ, CONNTRACE_AGENT=self.path)
        self.process = subprocess.Popen(
            [*prefix, AGENT, *arguments], env=self.environment, stderr=subprocess.PIPE, text=True
        )
        first = self.process.stderr.readline()
        if "listening" not in first:
            self.process.wait()
            raise RuntimeError(first)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stderr.close()

    def conntrace(self, *arguments, user=None, **options):
        command = [CONNTRACE, *map(str, arguments)]
        options.setdefault("timeout", PATIENCE)
        return subprocess.run(
            (AS_NOBODY if user else []) + command, env=self.environment, capture_output=True, text=True, **options
        )

    def status(self, user=None):
        command = (AS_NOBODY if user else []) + [AGENT, "--status"]
        return json.loads(subprocess.run(command, env=self.environment, capture_output=True, check=True).stdout)


class Client:
    """A client that writes and reads by itself; as root, or as nobody."""

    def __init__(self, agent, request, nobody=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.settimeout(PATIENCE)
        if nobody:
            os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, 0)
        try:
            self.socket.connect(agent.path)  # the kernel notes who does it now
        finally:
            if nobody:
                os.setresuid(0, 0, 0)
        if request is not None:
            self.send(request)
        self.lines = self.socket.makefile("r")

    def send(self, request):
        text = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        self.socket.sendall(text)

    def next(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def until(self, condition):
        """The records up to one for which the condition holds."""
        records = []
        end = time.monotonic() + PATIENCE
        while True:
            record = self.next()
            if record is None or time.monotonic() > end:
                raise AssertionError(f"it does not come; the last records: {records[-3:]}")
            records.append(record)
            if condition(record):
                return records

    def finish(self):
        self.socket.shutdown(socket.SHUT_WR)
        records = []
        while (record := self.next()) is not None:
            records.append(record)
        return records

    def close(self):
        self.lines.close()
        self.socket.close()


def watch(**selection):
    return {"schema": "conntrace.agent/1", "request": "watch", **selection}


class Talker:
    """A process, of nobody or of root, that connects to a listener of the test when told to."""

    SCRIPT = """
import socket, sys
kept = []
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "connect":
        kept.append(socket.create_connection(("127.0.0.1", int(words[1]))))
        print(kept[-1].getsockname()[1], flush=True)
    elif words[0] == "visit":
        with socket.create_connection(("127.0.0.1", int(words[1]))) as one:
            print(one.getsockname()[1], flush=True)
"""

    def __init__(self, nobody=True):
        command = (AS_NOBODY if nobody else []) + ["/usr/bin/python3", "-c", self.SCRIPT]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.pid = self.process.pid
        self.process.stdout.readline()  # it is whose it shall be

    def connect(self, verb="connect"):
        """Returns the local port of a new connection, which stays."""
        print(verb, self.listener.getsockname()[1], file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def visit(self):
        """The same with one that is closed at once."""
        port = self.connect("visit")
        self.listener.accept()[0].close()
        return port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.listener.close()


def established(port):
    return lambda record: record["kind"] == "tcp_established" and record["local"].endswith(f":{port}")


def owners(records):
    return {record["pid"] for record in records if record.get("pid")}


class AgentTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="conntrace-agent-"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)

    def client(self, *arguments, **options):
        client = Client(*arguments, **options)
        self.addCleanup(client.close)
        return client

    def shell(self, prefix, script):
        """A shell that reads what it shall do, and already is whose it shall be."""
        shell = subprocess.Popen(
            [*prefix, "sh", "-c", f"echo ready; {script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(shell.communicate)
        self.addCleanup(shell.kill)
        shell.stdout.readline()
        return shell

    def test_a_user_sees_his_own_process_from_both_sides(self):
        with Agent(self.folder) as agent, OriginServer(ORIGIN_SERVER) as origin:
            command = [*AS_NOBODY, CHECKOUT, "--url", origin.url(), "--rate", "100"]
            checkout = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                checkout.stdout.readline()  # its tap is open
                watched = agent.conntrace(
                    "watch", "--pid", checkout.pid, "--source", "agent", "--json", "--duration", 3, user="nobody"
                )
            finally:
                checkout.kill()
                checkout.communicate()
        self.assertEqual(watched.returncode, 0, watched.stderr)
        self.assertIn("agent (conntrace-agent)", watched.stderr)
        requests = [t for t in map(json.loads, watched.stdout.splitlines()) if t["kind"] == "request"]
        both = [t for t in requests if {"hook", "kernel"} <= set(t["sources"])]
        self.assertTrue(both, watched.stdout)

    def test_another_users_process_is_refused(self):
        with Agent(self.folder) as agent, Talker(nobody=False) as talker:
            watched = agent.conntrace("watch", "--pid", talker.pid, "--source", "agent", user="nobody")
            self.assertEqual(watched.returncode, 77, watched.stderr)
            self.assertIn("another user's", watched.stderr)
            client = self.client(agent, watch(pids=[talker.pid]), nobody=True)
            refusal = client.next()
            self.assertEqual(refusal["errno"], 1, refusal)
            self.assertIsNone(client.next())

    def test_each_client_gets_what_it_selected(self):
        with Agent(self.folder) as agent, Talker() as one, Talker() as other:
            first = self.client(agent, watch(pids=[one.pid]), nobody=True)
            second = self.client(agent, watch(pids=[other.pid]))
            everything = self.client(agent, watch(all=True))
            for client in (first, second, everything):
                client.until(lambda record: record["kind"] == "process_start")
            ports = [one.connect(), other.connect()]
            seen = first.until(established(ports[0])) + first.finish()
            self.assertLessEqual(owners(seen), {one.pid})
            seen = second.until(established(ports[1])) + second.finish()
            self.assertLessEqual(owners(seen), {other.pid})
            seen = everything.finish()
            self.assertTrue(any(map(established(ports[0]), seen)))
            self.assertTrue(any(map(established(ports[1]), seen)))
            self.assertIn(os.getpid(), owners(seen), "the accepting side is this process")

    def test_all_is_all_of_the_user(self):
        with Agent(self.folder) as agent, Talker() as own, Talker(nobody=False) as others:
            client = self.client(agent, watch(all=True), nobody=True)
            client.until(lambda record: record["kind"] == "process_start" and record["pid"] == own.pid)
            others.connect()
            records = [*client.until(established(own.connect())), *client.finish()]
            uids = {os.stat(f"/proc/{pid}").st_uid for pid in owners(records) if os.path.exists(f"/proc/{pid}")}
            self.assertEqual(uids, {NOBODY.pw_uid})

    def test_a_late_client_is_told_what_is_there(self):
        with Agent(self.folder) as agent, Talker() as talker:
            early = self.client(agent, watch(pids=[talker.pid]))
            early.until(lambda record: record["kind"] == "process_start")
            port = talker.connect()
            early.until(established(port))
            late = self.client(agent, watch(pids=[talker.pid]), nobody=True)
            told = late.until(lambda record: record["kind"] == "tcp_existing")
            self.assertEqual([r["kind"] for r in told], ["stream_start", "process_start", "tcp_existing"])
            self.assertTrue(told[-1]["local"].endswith(f":{port}"))
            self.assertEqual([r for r in early.finish() if r["kind"] == "tcp_existing"], [])

    def test_children_are_followed(self):
        with Agent(self.folder) as agent:
            shell = self.shell(AS_NOBODY, "read line; sleep 0; read line")
            client = self.client(agent, watch(pids=[shell.pid]), nobody=True)
            client.until(lambda record: record["kind"] == "process_start")
            print("go", file=shell.stdin, flush=True)
            records = client.until(lambda record: record["kind"] == "process_exit")
            child = records[-1]["pid"]
            self.assertNotEqual(child, shell.pid)
            self.assertTrue(any(r["kind"] == "process_start" and r["comm"] == "sleep" for r in records), records)

    def test_what_executes_as_somebody_else_is_out_of_sight(self):
        for mode, name in ((0o4755, "as_root"), (0o2755, "of_group_root")):
            with self.subTest(name):
                self.executes_out_of_sight(mode, name)

    def executes_out_of_sight(self, mode, name):
        program = self.folder / name
        shutil.copy(shutil.which("sleep"), program)
        program.chmod(mode)
        if os.statvfs(self.folder).f_flag & os.ST_NOSUID:
            self.skipTest(f"{self.folder} is mounted nosuid")
        with Agent(self.folder) as agent:
            shell = self.shell(
                ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"], f"read line; exec {program} 1000"
            )
            client = self.client(agent, watch(pids=[shell.pid]), nobody=True)
            client.until(lambda record: record["kind"] == "process_start")
            print("go", file=shell.stdin, flush=True)
            gap = client.until(lambda record: record["kind"] == "gap")[-1]
            self.assertIn("another user's", gap["where"])
            self.assertEqual(owners(client.finish()), set())

    def test_what_the_kernel_hides_from_its_user_is_hidden(self):
        """A process that may not be dumped (as ssh-agent), and one whose program has capabilities."""
        hidden = "import ctypes; ctypes.CDLL(None).prctl(4, 0); print('ready', flush=True); input()"
        capable = self.folder / "capable"
        shutil.copy("/bin/sleep", capable)
        subprocess.run(["setcap", "cap_net_raw+ep", capable], check=True)
        with Agent(self.folder) as agent:
            undumpable = subprocess.Popen(
                [*AS_NOBODY, "/usr/bin/python3", "-c", hidden], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.addCleanup(undumpable.communicate, "\n")
            undumpable.stdout.readline()
            privileged = subprocess.Popen(
                ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", capable, "1000"]
            )
            self.addCleanup(privileged.wait)
            self.addCleanup(privileged.kill)
            wait_until(
                lambda: os.readlink(f"/proc/{privileged.pid}/exe") == str(capable), "the program with a capability"
            )
            for process in (undumpable, privileged):
                self.assertEqual(self.client(agent, watch(pids=[process.pid]), nobody=True).next()["errno"], 1)
            everything = self.client(agent, watch(all=True), nobody=True)
            everything.until(lambda record: record["kind"] == "stream_start")
            self.assertTrue(owners(everything.finish()).isdisjoint({undumpable.pid, privileged.pid}))

    def test_who_becomes_unseen_without_executing_is_out_of_sight(self):
        """What no event tells is found by looking again."""
        script = "import ctypes; print('ready', flush=True); input(); ctypes.CDLL(None).prctl(4, 0); input()"
        with Agent(self.folder) as agent:
            process = subprocess.Popen(
                [*AS_NOBODY, "/usr/bin/python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.addCleanup(process.communicate, "\n\n")
            process.stdout.readline()
            client = self.client(agent, watch(pids=[process.pid]), nobody=True)
            client.until(lambda record: record["kind"] == "process_start")
            print(file=process.stdin, flush=True)
            gap = client.until(lambda record: record["kind"] == "gap")[-1]
            self.assertIn("another user's", gap["where"])

    def test_many_connections_are_described_beyond_the_buffer(self):
        with Agent(self.folder, "--client-bytes", "20000") as agent, Talker() as talker:
            ports = {str(talker.connect()) for _ in range(300)}
            client = self.client(agent, watch(pids=[talker.pid]), nobody=True)

            def all_told(record):
                if record["kind"] == "tcp_existing":
                    ports.discard(record["local"].rpartition(":")[2])
                return not ports

            told = client.until(all_told)
            self.assertEqual([record for record in told if record["kind"] == "gap"], [])

    def test_garbage_is_refused_and_harms_nobody(self):
        garbage = [
            b"\n", b"hello\n", b"{}\n", b"[]\n", b"\xff\xfe\x00\n", b'{"schema":"conntrace.agent/9"}\n',
            b'{"schema":"conntrace.agent/1","request":"dance"}\n',
            b'{"schema":"conntrace.agent/1","request":"watch"}\n',
            b'{"schema":"conntrace.agent/1","request":"watch","pids":"all"}\n',
            b'{"schema":"conntrace.agent/1","request":"watch","pids":[-1]}\n',
            b'{"schema":"conntrace.agent/1","request":"watch","pids":[1e99]}\n',
            b'{"schema":"conntrace.agent/1","request":"watch","all":1}\n',
            b"[" * 60000 + b"\n", b'{"schema":' + b"[" * 32000 + b"]" * 32000 + b"}\n", b"x" * 70000,
            b'{"schema":"conntrace.agent/1","request":"watch","pids":[' + b",".join([b"1"] * 2000) + b"]}\n",
        ]
        with Agent(self.folder) as agent, Talker() as talker:
            good = self.client(agent, watch(pids=[talker.pid]))
            good.until(lambda record: record["kind"] == "process_start")
            for text in garbage:
                client = self.client(agent, None, nobody=True)
                try:
                    client.send(text)
                except ConnectionError:
                    pass  # it has heard enough
                refusal = client.next()
                self.assertIn("error", refusal, text[:40])
                client.close()
            self.client(agent, b'{"schema"').close()
            twice = self.client(agent, watch(pids=[talker.pid]), nobody=True)
            twice.until(lambda record: record["kind"] == "process_start")
            twice.send(b"more\n")
            told = twice.until(lambda record: record["kind"] == "stream_end")
            self.assertTrue(any("one request only" in r["where"] for r in told if r["kind"] == "gap"), told)
            gone = self.client(agent, watch(pids=[2**22 - 1]), nobody=True)
            self.assertEqual(gone.next()["errno"], 3)
            good.until(established(talker.connect()))

    def test_a_slow_client_loses_and_is_told_how_much(self):
        with Agent(self.folder, "--client-bytes", "20000") as agent, Talker() as talker:
            quick = self.client(agent, watch(pids=[talker.pid]))
            slow = self.client(agent, watch(pids=[talker.pid]))
            for client in (quick, slow):
                client.until(lambda record: record["kind"] == "process_start")
            while not any(client["lost"] for client in agent.status()["clients"]):
                for _ in range(20):
                    quick.until(established(talker.visit()))
            records = slow.finish()
            lost = sum(record["lost"] for record in records if record["kind"] == "gap")
            end = records[-1]
            self.assertEqual(end["kind"], "stream_end")
            self.assertEqual(end["lost"], lost)
            self.assertGreater(lost, 0)
            self.assertEqual([r for r in quick.finish() if r["kind"] == "gap"], [])

    def test_programs_are_there_only_while_somebody_watches(self):
        with Agent(self.folder) as agent, Talker() as talker:
            self.assertEqual(programs_of(agent.process.pid), set())
            client = self.client(agent, watch(pids=[talker.pid]))
            client.until(lambda record: record["kind"] == "process_start")
            self.assertTrue(programs_of(agent.process.pid))
            self.assertTrue(agent.status()["observing"])
            client.close()
            wait_until(lambda: not programs_of(agent.process.pid), "the programs are let go")

    def test_killed_it_leaves_nothing_and_starts_again(self):
        agent = Agent(self.folder)
        with Talker() as talker:
            client = self.client(agent, watch(pids=[talker.pid]))
            client.until(lambda record: record["kind"] == "process_start")
            programs = programs_of(agent.process.pid)
            self.assertTrue(programs and all(map(exists, programs)))
            agent.process.kill()
            agent.process.wait()
            agent.process.stderr.close()
            wait_until(lambda: not any(map(exists, programs)), "the kernel lets go")
            with Agent(self.folder) as again:
                client = self.client(again, watch(pids=[talker.pid]))
                client.until(lambda record: record["kind"] == "process_start")

    def test_it_keeps_five_capabilities_and_no_more(self):
        with Agent(self.folder) as agent:
            status = pathlib.Path(f"/proc/{agent.process.pid}/status").read_text()
        fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        wanted = sum(1 << bit for bit in CAPABILITIES.values())
        for field in ("CapPrm", "CapEff", "CapBnd"):
            self.assertEqual(int(fields[field], 16), wanted, field)
        self.assertEqual(fields["NoNewPrivs"], "1")

    def test_five_capabilities_are_enough_as_its_systemd_unit_gives_them(self):
        names = ",".join(f"+{name.removeprefix('cap_')}" for name in CAPABILITIES)
        unit = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", f"--inh-caps=-all,{names}",
                f"--ambient-caps={names}", f"--bounding-set=-all,{names}", "--no-new-privs"]
        shutil.chown(self.folder, "daemon")
        with Agent(self.folder, prefix=unit) as agent, Talker() as talker:
            port = talker.connect()
            with subprocess.Popen(
                [*AS_NOBODY, CONNTRACE, "watch", "--pid", str(talker.pid), "--source", "agent", "--events"],
                env=agent.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) as watched:
                record = json.loads(watched.stdout.readline())
                while record["kind"] != "tcp_existing":
                    record = json.loads(watched.stdout.readline())
                self.assertTrue(record["local"].endswith(f":{port}"))
                status = agent.status()
                self.assertTrue(status["observing"])
                self.assertEqual(status["missing"], [])
                watched.send_signal(signal.SIGINT)
                watched.communicate()

    def test_without_privileges_it_says_which(self):
        done = subprocess.run([*AS_NOBODY, AGENT, "--socket", str(self.folder / "x")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 77)
        for name in CAPABILITIES:
            self.assertIn(name, done.stderr)

    def test_one_socket_has_one_agent(self):
        with Agent(self.folder) as agent:
            second = subprocess.run([AGENT, "--socket", agent.path], capture_output=True, text=True)
            self.assertEqual(second.returncode, 1)
            self.assertIn(agent.path, second.stderr)
        self.assertFalse(os.path.exists(agent.path))
        asked = subprocess.run([AGENT, "--status", "--socket", agent.path], capture_output=True, text=True)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("no agent answers", asked.stderr)

    def test_a_stopped_agent_ends_its_streams_in_order(self):
        with Agent(self.folder) as agent, Talker() as talker:
            client = self.client(agent, watch(pids=[talker.pid]))
            client.until(lambda record: record["kind"] == "process_start")
            port = talker.connect()
            agent.process.send_signal(signal.SIGTERM)
            records = client.until(lambda record: record["kind"] == "stream_end")
            self.assertTrue(any(map(established(port), records)), "what had happened before is told")
            self.assertEqual(agent.process.wait(PATIENCE), 0)


def may_run():
    if os.geteuid() != 0:
        return "needs root"
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        with Agent(folder):
            return None
    except RuntimeError as error:
        return str(error)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    reason = may_run()
    if reason is not None:
        print(f"agent_test: {reason}", file=sys.stderr)
        sys.exit(1 if os.environ.get("CONNTRACE_REQUIRE_BPF") == "1" else 77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
