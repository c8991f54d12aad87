"""What the kernel says of the processes of containers."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from stack import LISTENING


def status_of(pid):
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.split() for name, value in lines}


def environ(pid):
    return Path(f"/proc/{pid}/environ").read_text()


def is_read_only(pid):
    mounts = (line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines())
    return [options.split(",")[0] for _, point, _, options, *_ in mounts if point == "/"][-1] == "ro"


def resident(pid):
    """MiB of a process and of those below it, shared memory counted once for each."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = sum(map(resident, children.read_text().split())) if children.exists() else 0
    return int(status_of(pid).get("RssAnon", [0])[0]) / 1024 + below


def limits(pid):
    """Bytes of memory, processors and processes that the group of a process may have. None: no limit."""
    groups = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= {name: path for name in controllers.split(",")}

    def read(controller, first, second):
        folder = Path("/sys/fs/cgroup", controller) if groups.get(controller) else Path("/sys/fs/cgroup")
        file = folder / (groups.get(controller) or groups[""]).lstrip("/") / (first if groups.get(controller) else second)
        return file.read_text().split() if file.exists() else ["max"]

    memory, processes = read("memory", "memory.limit_in_bytes", "memory.max")[0], read("pids", "pids.max", "pids.max")[0]
    quota = read("cpu", "cpu.cfs_quota_us", "cpu.max")
    period = quota[1:] or read("cpu", "cpu.cfs_period_us", "cpu.max")
    number = lambda text: None if text == "max" or not 0 < int(text) < 2**60 else int(text)
    return {"memory": number(memory), "cpus": number(quota[0]) and int(quota[0]) / int(period[0]), "pids": number(processes)}


REACH = """
import concurrent.futures, json, socket, sys
def reaches(target):
    try:
        socket.create_connection(target[1:], 1.5).close()
    except OSError:
        return None
    return target[0]
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(sorted(set(filter(None, pool.map(reaches, targets))))))
"""


def reachable(stack, source, *more):
    """Names of those whose port can be reached from a container: services at whatever address they have, and `more` of (name, address,
    port).
    """
    targets = list(more)
    for service, port in LISTENING.items():
        networks = (stack.inspect(service) or {"NetworkSettings": {"Networks": {}}})["NetworkSettings"]["Networks"]
        targets += [(service, it["IPAddress"], port) for it in networks.values() if service != source]
    command = ["nsenter", f"--net=/proc/{stack.pid(source)}/ns/net", sys.executable, "-c", REACH, json.dumps(targets)]
    return json.loads(subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout)


class Internet:
    """A machine that the engine's has a way to: an address in a network namespace of its own, where a server listens."""

    ADDRESS, PORT = "192.0.2.1", 80

    def __enter__(self):
        for command in (
            "ip netns add internet",
            "ip link add way-out type veth peer name way-in netns internet",
            "ip address add 192.0.2.2/30 dev way-out",
            "ip link set way-out up",
            "ip netns exec internet ip address add 192.0.2.1/30 dev way-in",
            "ip netns exec internet ip link set way-in up",
        ):
            subprocess.run(command.split(), check=True)
        serve = ["ip", "netns", "exec", "internet", sys.executable, "-m", "http.server", "--bind", self.ADDRESS, str(self.PORT)]
        quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        self.server = subprocess.Popen(serve, cwd="/run", **quiet)
        for _ in range(100):
            try:
                socket.create_connection((self.ADDRESS, self.PORT), timeout=1).close()
                return ("internet", self.ADDRESS, self.PORT)
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("what stands for the Internet does not answer")

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        subprocess.run(["ip", "netns", "delete", "internet"], check=True)
