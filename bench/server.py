# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks have in common: the server that is asked."""

import os
import shutil
import socket
import subprocess
import sys
import time

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {dir}/server.pem;
    ssl_certificate_key {dir}/server.key;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""
BODY = "0123456789abcdef" * 8


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"bench: {text}")


def find(program, package):
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return found or fail(f"{program} is missing: apt-get install {package}")


def pinned(cpu):
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """nginx on free ports of loopback, with a configuration, a certificate and a folder of its own."""

    def __init__(self, folder, cpu):
        nginx = find("nginx", "nginx-light")
        self.ca_file = folder / "server.pem"
        command = [find("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", folder / "server.key", "-out", self.ca_file]
        subprocess.run(command, check=True, capture_output=True)
        for _ in range(3):  # somebody may take a port before nginx does
            self.ports = {"http": free_port(), "https": free_port()}
            config = folder / "nginx.conf"
            config.write_text(
                NGINX.format(dir=folder, port=self.ports["http"], tls_port=self.ports["https"], body=BODY)
            )
            with open(folder / "nginx.log", "w") as log:
                command = [nginx, "-p", folder, "-c", config, "-e", "stderr"]
                self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=pinned(cpu))
            if self.answers():
                return
            self.stop()
        fail("nginx does not start: " + (folder / "nginx.log").read_text())

    def answers(self):
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.ports["http"]), timeout=1).close()
                return self.process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False

    def url(self, scheme):
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}/"

    def stop(self):
        self.process.terminate()
        self.process.wait()
