"""What a rollout happens on: one Postgres, the balancer of the compose file, and orders that come in through it."""

import asyncio
import collections
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

import load
from cluster import PORT, SUPERUSER, Failed, binaries, make_database, query, start, until

BALANCER = 8080
# The balancer allows one address 500.
load.MOST = 400


class Database:
    """One node where `cluster` looks for the primary, as durable as by default."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "database"
        self.data.mkdir()
        subprocess.run(["chown", "-R", "postgres:", self.data], check=True)
        self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self.process = None

    def start(self):
        programs, log = binaries(), self.folder / "database.log"
        made = [*self.user, programs / "initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D", self.data]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        settings = {"port": PORT, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.data, "max_connections": 300}
        settings |= {"log_lock_waits": "on", "deadlock_timeout": "200ms", "log_statement": "ddl"}
        options = [option for name, value in settings.items() for option in ["-c", f"{name}={value}"]]
        self.process = start([*self.user, programs / "postgres", "-D", self.data, *options], log)

        def is_there():
            """Postgres answers"""
            try:
                return query("select 1", database=SUPERUSER["PGUSER"])
            except Failed:
                return None

        until(is_there)
        make_database()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def schema():
    """Versions of the migrations that are applied."""
    return [int(version) for (version,) in query("select version from _sqlx_migrations order by 1")]


def files():
    """The file of each table: another one after a rewrite."""
    rows = query(
        """select c.oid::regclass, c.relfilenode from pg_class c join pg_namespace n on n.oid = relnamespace
             where relkind = 'r' and nspname not in ('pg_catalog', 'information_schema') and nspname !~ '^pg_t'"""
    )
    return {table: int(file) for table, file in rows}


def balancer_settings(shipped, ports):
    """The shipped settings, with the addresses of here in place of the engine's names."""
    servers = "".join(f"    server copy-{port} 127.0.0.1:{port}\n" for port in ports)
    # Answers of no server, such as a 502, are in the log.
    errors = "    option httplog\n    option log-separate-errors\n"
    for pattern, text in [
        (r"    option dontlognull\n", errors),
        (r"resolvers docker\n(    .*\n)+", ""),
        (r" resolvers docker init-addr none", ""),
        # Whoever is passed on needs a credential. Here everybody is on this machine, and is let in.
        (r"    option forwardfor\n", ""),
        (r"    bind :3000\n", f"    bind 127.0.0.1:{BALANCER}\n"),
        (r"    server-template .*\n", servers),
    ]:
        shipped, found = re.subn(pattern, text, shipped)
        if not found:
            raise Failed(f"docker/haproxy.cfg has no {pattern} any more")
    return shipped


class Orders(load.Load):
    """A client that behaves: it sends again what was not acknowledged, under the same key, when `Retry-After` says so."""

    def __init__(self, name, rate):
        super().__init__(name, [BALANCER], rate)
        # Each answer by status and code, what no client should see, and when an acknowledgement came after how long.
        self.statuses, self.wrong, self.waits = collections.Counter(), [], []

    async def _place(self, request, number):
        # Every build knows an order as short as this one, and makes an address of the customer's id.
        request.body = _short(request.body())
        began = time.monotonic()
        while not request.acknowledged and time.monotonic() - began < load.AGAIN_FOR:
            if request.answers:
                await asyncio.sleep(request.pause)
            # No answer at all, until one is read.
            request.status, request.pause = None, 1
            request.answers.append(await self._post(request, BALANCER))
            if request.status is None:
                self.statuses["broken"] += 1
                self.wrong.append(f"{request.customer}: the connection broke")
        self.waits.append((time.monotonic(), time.monotonic() - began))

    def _read(self, request, answer):
        head, _, body = answer.partition(b"\r\n\r\n")
        if status := re.match(rb"HTTP/1.1 (\d+)", head):
            request.status = int(status[1])
            code, after = re.search(rb'"code": *"([a-z-]+)"', body), re.search(rb"(?i)\r\nretry-after: *(\d+)", head)
            request.pause = int(after[1]) if after else 1
            said = f"{request.status} {code[1].decode()}" if code else str(request.status)
            self.statuses[said] += 1
            if request.status >= 500 and (request.status != 503 or after is None):
                self.wrong.append(f"{request.customer}: {said}, Retry-After {request.pause if after else 'missing'}: {body[:200]!r}")
        return super()._read(request, answer)

    def between(self, began, ended):
        """What clients saw in a phase."""
        times = [began, *sorted(it for it in self.times if began <= it <= ended), ended]
        waits = sorted(wait for at, wait in self.waits if began <= at <= ended)
        return {
            "seconds": round(ended - began, 1),
            "acknowledged": len(times) - 2,
            "longest_gap_ms": round(1000 * max(later - earlier for earlier, later in zip(times, times[1:]))),
            "p99_ms": round(1000 * waits[len(waits) * 99 // 100]) if waits else None,
            "slowest_ms": round(1000 * waits[-1]) if waits else None,
        }


def _short(body):
    shorter = json.dumps({name: value for name, value in json.loads(body).items() if name != "customer"}).encode()
    return lambda: shorter


class Reader:
    """Reads a list of orders five times a second, as a page would."""

    def __init__(self):
        self.statuses = collections.Counter()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def start(self):
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def _run(self):
        while not self.stopping.wait(0.2):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{BALANCER}/orders?limit=20", timeout=20) as answer:
                    answer.read()
                    self.statuses[str(answer.status)] += 1
            except urllib.error.HTTPError as error:
                retry = "" if error.code < 500 or error.headers.get("Retry-After") else " without Retry-After"
                self.statuses[f"{error.code}{retry}"] += 1
            except OSError:
                self.statuses["broken"] += 1
