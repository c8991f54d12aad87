"""The stack of docker-compose.yml, as its user sees it."""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
API, INBOX, CONSOLE = "http://127.0.0.1:3000", "http://127.0.0.1:8005", "http://127.0.0.1:8001"
SECRET = "0123456789abcdef0123456789abcdef"
# What listens where, for others.
LISTENING = {"postgres": 5432, "sqs": 9324, "inbox": 8005, "command-api": 3000, "projections": 3000, "sagas": 3000, "notification": 3000,
             "webhooks": 3000, "console": 8001, "gateway": 3000}
ROLES = ["command-api", "projections", "sagas", "notification", "webhooks", "console"]


def until(what, patience=60, pause=0.2):
    """Whether it becomes so in time."""
    deadline = time.monotonic() + patience
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


class Stack:
    """A project of Compose in the engine. `files` may lay others over docker-compose.yml."""

    def __init__(self, engine, files=(), **settings):
        self.engine, self.files = engine, ["docker-compose.yml", *files]
        self.settings = {"ORDO_TOKEN_SECRET": SECRET} | settings

    def compose(self, *arguments, check=True, **keywords):
        files = [word for file in self.files for word in ("--file", ROOT / file)]
        return self.engine.docker("compose", "--progress", "quiet", *files, *arguments, check=check, more=self.settings, **keywords)

    def up(self, *options):
        return self.compose("up", "--detach", "--wait", "--wait-timeout", "150", *options, check=False)

    def down(self, *options):
        return self.compose("down", "--timeout", "60", *options, check=False)

    def config(self):
        return json.loads(self.compose("config", "--format", "json").stdout)

    def inspect(self, service, number=1):
        asked = self.engine.docker("inspect", f"ordo-{service}-{number}", check=False)
        return json.loads(asked.stdout)[0] if asked.returncode == 0 else None

    def pid(self, service):
        found = self.inspect(service)
        return found["State"]["Pid"] if found else 0

    def healthy(self, service):
        state = (self.inspect(service) or {}).get("State", {})
        return bool(state.get("Running")) and state.get("Health", {}).get("Status") == "healthy"

    def all_healthy(self, services):
        return until(lambda: all(map(self.healthy, services)))

    def token(self, role):
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", "demo", "token", "--role", role).stdout.strip()

    def demo(self, *options):
        """An order and its mail, through the containers. What it said is shown if it failed."""
        if "ORDO_TOKEN" not in self.settings:
            self.settings["ORDO_TOKEN"] = self.token("shop")
        done = self.compose("run", "--rm", "--no-TTY", *options, "demo", check=False, timeout=120)
        if done.returncode != 0:
            print("     ", (done.stdout + done.stderr).strip()[-600:].replace("\n", "\n      "))
        found = re.search(r"^order (\S+)", done.stdout, re.M)
        return found[1] if found and done.returncode == 0 else None

    def kill(self, service):
        """Ends the first process of a container, as the kernel would for want of memory, and waits until another one is healthy."""
        old = self.pid(service)
        if not old:
            raise RuntimeError(f"{service} does not run")
        os.kill(old, 9)
        return until(lambda: self.pid(service) not in (0, old)) and until(lambda: self.healthy(service))

    def logs(self, service):
        done = self.engine.docker("logs", f"ordo-{service}-1", check=False)
        return (done.stdout + done.stderr).splitlines()


# What comes over HTTP.


def status(url):
    """What whoever has no token is answered."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return None


def get(url, token=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except OSError as error:
        print(f"      {url}: {error}")
        return None


def sign_in(token):
    """The console's first page for whoever signs in with a token, as a browser without scripts would."""
    connection = http.client.HTTPConnection("127.0.0.1", 8001, timeout=10)
    connection.request("GET", "/sign-in")
    form = connection.getresponse()
    page, cookie = form.read().decode(), form.getheader("Set-Cookie", "").split(";")[0]
    found = re.search(r'name="token"[^>]*value="([^"]+)"', page)
    if not found:
        return form.status, page
    body = urllib.parse.urlencode({"credential": token, "token": found[1], "next": "/orders"})
    headers = {"Cookie": cookie, "Origin": CONSOLE, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in", body, headers)
    answer = connection.getresponse()
    answer.read()
    session = [it.split(";")[0] for it in answer.headers.get_all("Set-Cookie", []) if it.startswith("ordo_session=")]
    connection.request("GET", answer.getheader("Location", "/sign-in"), headers={"Cookie": "; ".join(session)})
    shown = connection.getresponse()
    return shown.status, shown.read().decode()
