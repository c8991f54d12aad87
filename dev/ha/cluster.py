"""Three Postgres nodes under Patroni, with etcd for its decisions and HAProxy before them.

Each node is a host of its own: a network namespace behind a bridge, at 10.77.0.11 to 13. etcd, HAProxy and whoever uses the database are
on the host that the bridge belongs to.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

HUB = "10.77.0.1"
PORT = 5000
OWNER = f"postgres://ordo:ordo@127.0.0.1:{PORT}/ordo"
SUPERUSER = {"PGHOST": "127.0.0.1", "PGPORT": str(PORT), "PGUSER": "postgres", "PGPASSWORD": "postgres", "PGDATABASE": "ordo"}
PATIENCE = 90

# What docs/how-to/high-availability.md says.
DECISIONS = {
    "ttl": 20,
    "loop_wait": 2,
    "retry_timeout": 5,
    "primary_start_timeout": 0,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {
            "max_connections": 300,
            "shared_buffers": "64MB",
            "max_wal_size": "256MB",
            "min_wal_size": "80MB",
            "wal_keep_size": "256MB",
            "wal_sender_timeout": "5s",
            "wal_receiver_timeout": "5s",
            "tcp_keepalives_idle": 5,
            "tcp_keepalives_interval": 2,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": "10s",
        },
    },
}
PROXY = f"""
global
  maxconn 2000
defaults
  mode tcp
  timeout connect 2s
  timeout check 2s
  timeout client 1d
  timeout server 1d
  option clitcpka
  option srvtcpka
listen primary
  bind 127.0.0.1:{PORT}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions check port 8008
"""


class Failed(Exception):
    """Something did not come about."""


def until(what, patience=PATIENCE, pause=0.2):
    """The first answer of `what` that is something."""
    deadline = time.monotonic() + patience
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise Failed(f"{what.__doc__ or what.__name__}: not within {patience} s")
        time.sleep(pause)
    return answer


def binaries():
    """The folder of the newest Postgres."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parent.name))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def answer_of(url, body=None, timeout=2):
    """What a server answers, as JSON; nothing, if it does not."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=timeout) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def start(command, log, environment=None):
    with log.open("a") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)


def query(statement, database="ordo"):
    """Rows of texts, from the primary."""
    environment = {"PATH": os.environ["PATH"], "PGCONNECT_TIMEOUT": "5"} | SUPERUSER | {"PGDATABASE": database}
    command = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failed(f"{statement}: {done.stderr.strip()}")
    return [line.split("\t") for line in done.stdout.splitlines()]


def make_database():
    query("create role ordo login password 'ordo'", database="postgres")
    query("create database ordo owner ordo", database="postgres")


class Node:
    """A host with Postgres and Patroni."""

    def __init__(self, number, folder, programs, is_small):
        self.name = f"db{number}"
        self.address = f"10.77.0.{10 + number}"
        self.folder = folder / self.name
        self.folder.mkdir()
        if is_small:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", self.folder], check=True)
        self.config = folder / f"{self.name}.json"
        self.config.write_text(json.dumps(self.settings(programs)))
        self.log = folder / f"{self.name}.log"
        subprocess.run(["chown", "-R", "postgres:", self.folder, self.config], check=True)
        self.process = None

    def settings(self, programs):
        login = {"username": "postgres", "password": "postgres"}
        return {
            "scope": "ordo",
            "name": self.name,
            "restapi": {"listen": f"{self.address}:8008", "connect_address": f"{self.address}:8008"},
            "etcd3": {"host": f"{HUB}:2379"},
            "bootstrap": {"dcs": DECISIONS, "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "postgresql": {
                "listen": f"{self.address}:5432",
                "connect_address": f"{self.address}:5432",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(programs),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {"superuser": login, "replication": {"username": "copy", "password": "copy"}},
                "pg_hba": ["local all all trust", "host all all all scram-sha-256", "host replication all all scram-sha-256"],
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }

    def connect(self):
        """Plugs the host in: a cable from the bridge to its namespace."""
        ip("netns", "add", self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.name, "master", "bridge", "up")
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ["eth0", "lo"]:
            ip("-n", self.name, "link", "set", device, "up")

    def cut(self):
        """Nothing goes in or out, and nobody is told."""
        ip("link", "set", self.name, "nomaster")

    def mend(self):
        ip("link", "set", self.name, "master", "bridge")

    def boot(self):
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        command = ["ip", "netns", "exec", self.name, *user, "patroni", self.config]
        self.process = start(command, self.log, environment)

    def processes(self):
        """All that run on the host."""
        found = subprocess.run(["ip", "netns", "pids", self.name], check=True, capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]

    def postgres(self):
        """The processes of Postgres alone."""
        return [it for it in self.processes() if _program(it) == "postgres"]

    def send(self, number, processes):
        for process in processes:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def lose_power(self):
        while found := self.processes():
            self.send(signal.SIGKILL, found)
            time.sleep(0.05)
        self.process.wait()

    def freeze(self):
        self.send(signal.SIGSTOP, self.processes())

    def thaw(self):
        self.send(signal.SIGCONT, self.processes())

    def ask(self, path, body=None, timeout=2):
        return answer_of(f"http://{self.address}:8008{path}", body, timeout)


def _program(process):
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


class Cluster:
    def __init__(self, folder, has_small_disks=False):
        self.folder = folder
        self.nodes = [Node(number, folder, binaries(), has_small_disks) for number in [1, 2, 3]]
        self.proxy = None
        self.etcd = None

    def start(self):
        ip("link", "set", "lo", "up")
        ip("link", "add", "bridge", "type", "bridge")
        ip("address", "add", f"{HUB}/24", "dev", "bridge")
        ip("link", "set", "bridge", "up")
        self.etcd = start(
            [
                *["etcd", "--data-dir", self.folder / "etcd", "--name", "etcd", "--log-level", "warn"],
                *["--listen-client-urls", f"http://{HUB}:2379", "--advertise-client-urls", f"http://{HUB}:2379"],
                *["--listen-peer-urls", f"http://{HUB}:2380", "--initial-advertise-peer-urls", f"http://{HUB}:2380"],
                *["--initial-cluster", f"etcd=http://{HUB}:2380"],
            ],
            self.folder / "etcd.log",
        )
        for node in self.nodes:
            node.connect()
            node.boot()
        servers = "".join(f"  server {it.name} {it.address}:5432 maxconn 280\n" for it in self.nodes)
        (self.folder / "haproxy.cfg").write_text(PROXY + servers)
        self.proxy = start(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"], self.folder / "haproxy.log")
        self.wait_until_whole()
        make_database()

    def members(self):
        """How Patroni sees the nodes, by name; nothing, if no node says."""
        for node in self.nodes:
            if seen := node.ask("/cluster", timeout=1):
                return {it["name"]: it for it in seen["members"]}
        return {}

    def with_role(self, *roles):
        found = {name for name, it in self.members().items() if it["role"] in roles and it["state"] in {"running", "streaming"}}
        return next((it for it in self.nodes if it.name in found), None)

    def primary(self):
        return self.with_role("leader")

    def standby(self):
        """The synchronous one."""
        return self.with_role("sync_standby")

    def is_whole(self):
        """every node runs, and one is the synchronous standby"""
        members = self.members().values()
        running = [it for it in members if it["state"] in {"running", "streaming"}]
        return len(running) == len({it.get("timeline") for it in running}) * 3 and self.primary() and self.standby()

    def wait_until_whole(self):
        # A base backup for two standbys takes minutes on a machine that is busy with something else.
        until(self.is_whole, patience=300, pause=0.5)

    def switch_over(self):
        primary, standby = self.primary(), self.standby()
        return primary.ask("/switchover", {"leader": primary.name, "candidate": standby.name}, timeout=60)
