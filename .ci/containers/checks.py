"""What a user of docker-compose.yml would rely on, one check after the other."""

import base64
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import kernel
import load
from stack import API, CONSOLE, INBOX, ROLES, Stack, get, sign_in, status, until

SERVICES = ["postgres", "sqs", "inbox", *ROLES, "gateway"]
# Who shares a network, and so can reach the others of it. `outside` is one where nobody reaches another.
TOGETHER = [
    {"postgres", *ROLES},
    {"sqs", "sagas", "notification", "console"},
    {"inbox", "notification"},
    {"gateway", "command-api", "projections"},
]
OUTSIDE = {"gateway", "inbox", "console", "webhooks"}
LOGS_ARE_JSON = ["sqs", "inbox", "migrate", *ROLES]
ORDERS = 1600


class Checks:
    """Counts what holds and what does not, and says each as it is known."""

    def __init__(self):
        self.began = time.monotonic()
        self.passed, self.failed = 0, []

    def check(self, name, holds, *arguments):
        began = time.monotonic()
        try:
            outcome = bool(holds(*arguments)) if callable(holds) else bool(holds)
        except Exception as error:  # One check that breaks leaves the others to be made.
            print(f"      {type(error).__name__}: {error}")
            outcome = False
        took = time.monotonic() - began
        print(f"{'ok   ' if outcome else 'FAIL '} {name}{f' ({took:.1f} s)' if took >= 1 else ''}", flush=True)
        self.passed += outcome
        if not outcome:
            self.failed.append(name)
        return outcome

    def conclude(self):
        print(f"{self.passed} passed, {len(self.failed)} failed, {time.monotonic() - self.began:.0f} s")
        for name in self.failed:
            print(f"failed: {name}")
        return not self.failed


def comes_up(stack, *options):
    done = stack.up(*options)
    if done.returncode != 0:
        print("     ", (done.stdout + done.stderr).strip()[-1500:].replace("\n", "\n      "))
        for service in [*SERVICES, "migrate", "database-users"]:
            state = (stack.inspect(service) or {}).get("State", {})
            named = f"ordo-{service}-1" in done.stderr
            if named or state.get("ExitCode") or state.get("Health", {}).get("Status") == "unhealthy":
                said = stack.logs(service)[-8:]
                print(f"      {service}: {state.get('Status')}, exit code {state.get('ExitCode')}", *said, sep="\n      ")
    return done.returncode == 0


def confined(stack, service):
    """An ordinary user without capabilities and without a way to any, on a root file system that is read only."""
    pid = stack.pid(service)
    said = kernel.status_of(pid)
    powers = [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(said[name][0], 16)]
    return "0" not in said["Uid"] + said["Gid"] and not powers and said["NoNewPrivs"] == ["1"] and kernel.is_read_only(pid)


def only_json(lines):
    def is_object(line):
        try:
            return isinstance(json.loads(line), dict)
        except ValueError:
            return False

    strange = [line for line in lines if line and not is_object(line)]
    for line in strange[:3]:
        print(f"      {line[:150]}")
    return any(lines) and not strange


def limited(stack, service, config):
    wanted, found = config["services"][service], kernel.limits(stack.pid(service))
    said = {"memory": int(wanted.get("mem_limit", 0)), "cpus": float(wanted.get("cpus", 0)), "pids": int(wanted.get("pids_limit", 0))}
    if found != said or not all(said.values()):
        print(f"      {service} has {found}, the file says {said}")
    return found == said and all(said.values())


def reaches(source, found):
    wanted = set().union(*(group for group in TOGETHER if source in group)) - {source}
    wanted |= {"internet"} if source in OUTSIDE else set()
    if found != wanted:
        print(f"      {source} reaches {sorted(found)}, and should {sorted(wanted)}")
    return found == wanted


def stops_in_time(stack, service, config):
    grace = config["services"][service]["stop_grace_period"]
    began = time.monotonic()
    stack.compose("stop", service)
    took, code = time.monotonic() - began, stack.inspect(service)["State"]["ExitCode"]
    print(f"      {service}: {took:.1f} s of {grace}, exit code {code}")
    return code in (0, 143)


def figures(stack):
    used = {service: kernel.resident(stack.pid(service)) for service in SERVICES}
    print("      MiB resident: " + ", ".join(f"{service} {mib:.0f}" for service, mib in used.items()))


def has_mail(stack):
    return stack.demo("--no-deps")


def check_all(checks, engine, scratch, only):
    """Each part but the one with moto, or those of `only`."""
    stack = Stack(engine)
    parts = {"start": check_start, "load": check_load, "kills": check_kills, "stops": check_stops}
    wanted = [part for name, part in parts.items() if not only or name in only]
    if wanted and checks.check("up", comes_up, stack):
        for part in wanted:
            part(checks, stack, stack.config())
    stack.down("--volumes")
    if not only or "secrets" in only:
        check_secrets(checks, engine, scratch)
    if "moto" in only:
        check_moto(checks, engine)


def check_start(checks, stack, config):
    checks.check("every service is healthy", stack.all_healthy, SERVICES)
    order = stack.demo("--no-deps")
    checks.check("demo: an order and its mail", order)
    token = stack.token("operator")
    checks.check("the order at the published API", lambda: get(f"{API}/orders/{order}", token))
    checks.check("nobody without a token", status(f"{API}/orders/{order}") == 401)
    checks.check("the inbox at its published port", lambda: get(f"{INBOX}/health"))
    checks.check("the console at its published port: signed in, it lists the order", lambda: order in sign_in(token)[1])
    checks.check("the console asks who does not", lambda: "credential" in (get(f"{CONSOLE}/sign-in") or ""))
    for service in LOGS_ARE_JSON:
        checks.check(f"{service}: logs are JSON", lambda: only_json(stack.logs(service)))
    figures(stack)


def check_load(checks, stack, config):
    orders = load.Orders(ORDERS, stack.token("shop"))
    checks.check(f"{ORDERS} orders at once: each has its mail", orders.have_their_mails, 120)
    figures(stack)
    # While messages could be seen again.
    check_confinement(checks, stack, config)
    checks.check(f"{ORDERS} orders at once: none has two mails", orders.have_no_second_mail)
    verify = ["run", "--rm", "--no-deps", "--no-TTY", "migrate", "verify"]
    checks.check("`ordo verify` finds nothing", lambda: stack.compose(*verify, check=False).returncode == 0)


def check_confinement(checks, stack, config):
    for service in SERVICES:
        checks.check(f"{service}: not root, no capabilities, no new privileges, read-only root", confined, stack, service)
        checks.check(f"{service}: memory, processors and processes are limited", limited, stack, service, config)
    with kernel.Internet() as internet:
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            found = pool.map(lambda service: set(kernel.reachable(stack, service, internet)), SERVICES)
            for service, reached in zip(SERVICES, found):
                checks.check(f"{service}: reaches whom it should, and nobody else", reaches, service, reached)


def check_kills(checks, stack, config):
    for service in SERVICES:
        checks.check(f"{service}: comes back after kill -9", stack.kill, service)
        checks.check(f"{service}: demo after that, nothing done by hand", has_mail, stack)
    for service in ("postgres", "sqs", "inbox"):
        stack.compose("restart", service)
        checks.check(f"{service}: demo after a restart", lambda: until(lambda: stack.healthy(service)) and has_mail(stack))
    checks.check("two copies of projections", comes_up, stack, "--scale", "projections=2")
    checks.check("demo with two", has_mail, stack)


def check_stops(checks, stack, config):
    order, token = stack.demo("--no-deps"), stack.token("operator")
    for service in reversed(SERVICES):
        checks.check(f"{service}: stops in time", stops_in_time, stack, service, config)
    checks.check("up after a stop", comes_up, stack)
    checks.check("down", lambda: stack.down().returncode == 0)
    checks.check("up after down", comes_up, stack)
    checks.check("the order is still there", lambda: get(f"{API}/orders/{order}", token))
    checks.check("demo after that", has_mail, stack)


def secret_files(folder):
    """The files that docker-compose.secrets.yml names, each readable by who needs it. Their secrets come back."""
    folder.mkdir()
    made = {name: hashlib.sha256(name.encode()).hexdigest()[:40] for name in ["postgres", *ROLES, "token"]}
    made["message"] = base64.b64encode(made["token"][:32].encode()).decode()
    texts = {f"{name}-password": made[name] for name in ["postgres", *ROLES]}
    texts |= {"token-secret": made["token"], "message-keys": f"check:{made['message']}"}
    for name in ["postgres", *ROLES]:
        login, suffix = ("ordo", "") if name == "postgres" else (name.replace("-", "_"), f"-{name}")
        texts[f"database-url{suffix}"] = f"postgres://{login}:{made[name]}@postgres:5432/ordo?sslmode=disable"
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o400)
        os.chown(folder / name, 999 if name.endswith("-password") else 65532, -1)
    return made.values()


def check_secrets(checks, engine, scratch):
    secrets = secret_files(scratch / "secrets")
    settings = {"ORDO_SECRETS": str(scratch / "secrets"), "ORDO_TOKEN_SECRET": "in-a-file"}
    stack = Stack(engine, ["docker-compose.secrets.yml"], **settings)
    if not checks.check("with secrets from files: up", comes_up, stack):
        return
    checks.check("with secrets from files: demo", lambda: stack.demo("--no-deps"))
    shown = engine.docker("inspect", *(f"ordo-{it}-1" for it in [*SERVICES, "migrate", "database-users"])).stdout
    shown += "".join(kernel.environ(stack.pid(service)) for service in [*ROLES, "sqs", "inbox", "gateway"])
    holds = not [it for it in secrets if it in shown]
    checks.check("with secrets from files: none is shown by docker inspect, nor by a process of Ordo", holds)
    stack.down("--volumes")


def check_moto(checks, engine):
    stack = Stack(engine, ["docker-compose.moto.yml"])
    checks.check("with moto as SQS: up", comes_up, stack)
    checks.check("with moto as SQS: demo", lambda: stack.demo("--no-deps"))
    stack.down("--volumes")
