"""A Docker Engine that nobody installed: Debian's packages, unpacked into a folder, in namespaces that end with whoever made them."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import debian

# Compose v2 is not in every Debian that has an engine. This one is a single static program.
COMPOSE_SUITE = "trixie"
REGISTRY = "https://registry-1.docker.io/v2/"
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


def fetch(tools):
    """Puts the engine and Compose into the folder, where they are not there yet."""
    root, plugins = tools / "engine", tools / "docker/cli-plugins"
    if not (root / "complete").exists():
        debian.download_missing(["docker.io", "slirp4netns"], tools / "engine-debs")
        debian.unpack(tools / "engine-debs", root)
        for name in ("iptables", "ip6tables"):
            if not (root / "usr/sbin" / name).exists() and (root / "usr/sbin/xtables-nft-multi").exists():
                (root / "usr/sbin" / name).symlink_to("xtables-nft-multi")
        (root / "complete").touch()
    if not (plugins / "docker-compose").exists():
        debian.download_one("docker-compose", COMPOSE_SUITE, tools / "compose-deb")
        debian.unpack(tools / "compose-deb", tools / "compose")
        program = next(it for it in (tools / "compose").rglob("docker-compose") if it.is_file() and os.access(it, os.X_OK))
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / "docker-compose").symlink_to(program.resolve())


def registry_answers():
    """Whether images can be pulled. Without a token the registry refuses, which is an answer."""
    try:
        urllib.request.urlopen(REGISTRY, timeout=5)
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401
    except OSError:
        return False
    return True


def environment(tools, socket):
    """What the engine and its client are started with."""
    root, libraries = tools / "engine", "usr/lib/x86_64-linux-gnu"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_", "ORDO_", "AWS_", "DATABASE_"))}
    return kept | {
        "PATH": f"{root}/usr/sbin:{root}/usr/bin:{root}/sbin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{root}/{libraries}:{root}/lib/x86_64-linux-gnu",
        "XTABLES_LIBDIR": f"{root}/{libraries}/xtables:/{libraries}/xtables",
        "DOCKER_CONFIG": str(tools / "docker"),
        "DOCKER_HOST": f"unix://{socket}",
    }


class Engine:
    """The engine, once this process is in namespaces of its own."""

    def __init__(self, tools, scratch, cgroup):
        self.environment = environment(tools, scratch / "docker.sock")
        self.log = scratch / "engine.log"
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        command = ["dockerd", "--data-root", scratch / "data", "--exec-root", scratch / "exec", "--pidfile", scratch / "pid",
                   "--host", f"unix://{scratch}/docker.sock", "--cgroup-parent", f"/{cgroup}"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(300):
            if self.docker("version", check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"the engine does not answer:\n{self.log.read_text()[-3000:]}")

    def docker(self, *arguments, check=True, more=None, **keywords):
        """A command of the client. Its output comes back as text."""
        keywords = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | keywords
        done = subprocess.run(["docker", *map(str, arguments)], env=self.environment | (more or {}), **keywords)
        if check and done.returncode != 0:
            raise SystemExit(f"docker {' '.join(map(str, arguments))}: {done.returncode}\n{(done.stderr or '')[-3000:]}")
        return done


def give_network(process, tools, log):
    """The network of this machine for the namespaces of a process, without a change of the machine's own. None where that can't be."""
    own, its = Path("/proc/self/ns/net"), Path(f"/proc/{process.pid}/ns/net")
    for _ in range(100):
        if its.exists() and its.readlink() != own.readlink():
            break
        time.sleep(0.05)
    command = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(process.pid), "tap0"]
    try:
        with log.open("w") as out:
            return subprocess.Popen(command, env=environment(tools, "none"), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    except FileNotFoundError:
        return None


def forget_cgroups(cgroup):
    """Removes the groups that the containers were in, once their processes have ended with the namespace."""
    for top in Path("/sys/fs/cgroup").glob(f"*/{cgroup}"), Path("/sys/fs/cgroup").glob(cgroup):
        for folder in [folder for it in top for folder, _, _ in os.walk(it, topdown=False)]:
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.1)
