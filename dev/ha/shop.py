"""Ordo on the cluster: two copies with all roles, and beside them queues and an inbox that no fault reaches."""

import json
import os
import subprocess
import urllib.request

from cluster import OWNER, Failed, answer_of, start, until

PORTS = [3000, 3010]
KEYS = "ha:" + "b3JkbyBpbiBhIGNsdXN0ZXIgb2YgdGhyZWUgbm9kZXM="


class Copy:
    """`ordo serve` with every role."""

    def __init__(self, program, port, folder, environment):
        self.program, self.port, self.environment = program, port, environment
        self.log = folder / f"ordo-{port}.log"
        self.process = None

    def start(self):
        listeners = [f"--listen=127.0.0.1:{self.port}", f"--ops-listen=127.0.0.1:{self.port + 1}"]
        roles = "--roles=command-api,projections,sagas,notification"
        self.process = start([self.program, "serve", "--allow-anonymous", roles, *listeners], self.log, self.environment)

    def is_ready(self):
        """a copy is ready"""
        if self.process.poll() is not None:
            # As whoever supervises it would do: the database was away, or a standby, at that moment.
            self.start()
        return answer_of(f"http://127.0.0.1:{self.port + 1}/health/ready")

    def stop(self):
        """As a rollout does."""
        self.process.terminate()
        self.process.wait(60)


class Shop:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        # `ordo up` is here for its queues and its inbox alone, on a database of its own.
        nowhere = [f"--{it}=127.0.0.1:0" for it in ["listen", "ops-listen", "console-listen", "sqs-listen", "ses-listen"]]
        self.announced = folder / "queues.log"
        data = folder / "queues"
        plain = {"PATH": os.environ["PATH"]}
        self.queues = start([program, "up", "--json", "--data-dir", data, *nowhere], self.announced, plain)
        at = until(self._where_queues_are)
        self.inbox = at["inbox"]
        self.environment = plain | {
            "DATABASE_URL": OWNER,
            "AWS_ENDPOINT_URL_SQS": at["sqs"],
            "AWS_ENDPOINT_URL_SESV2": at["inbox"],
            "AWS_REGION": "eu-central-1",
            "ORDO_QUEUE_PREFIX": "ha",
            "ORDO_PAYMENT_PROVIDER": "sandbox",
            "ORDO_MESSAGE_KEYS": KEYS,
            "ORDO_DATABASE_CONNECTIONS": "32",
            "ORDO_CONNECTIONS_PER_ADDRESS": "2000",
            "ORDO_RATE_LIMITS": "anonymous=unlimited,operator=unlimited",
            "ORDO_ORDER_NUMBERS": "A-{year}",
        }
        self.copies = [Copy(program, port, folder, self.environment) for port in PORTS]

    def _where_queues_are(self):
        """the queues are there"""
        if self.queues.poll() is not None:
            raise Failed(f"`ordo up` ended: {self.announced.read_text()[-2000:]}")
        found = [line for line in self.announced.read_text().splitlines() if '"ready":true' in line]
        return json.loads(found[0]) if found else None

    def start(self):
        if (said := self.ordo("migrate", "--queues")).returncode != 0:
            raise Failed(f"ordo migrate: {said.stderr}")
        for copy in self.copies:
            copy.start()
        for copy in self.copies:
            until(copy.is_ready)

    def ordo(self, *arguments):
        command = [self.program, *arguments]
        return subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=300)

    def stop(self):
        for copy in self.copies:
            copy.stop()
        self.queues.terminate()
        self.queues.wait(60)

    def mails(self):
        """How often each mail came, by its id, and which came to each address."""
        by_id, by_address = {}, {}
        for mail in answer_of(f"{self.inbox}/messages", timeout=60):
            mail_id = mail["headers"]["X-Ordo-Notification-Id"]
            by_id[mail_id] = by_id.get(mail_id, 0) + 1
            for address in mail["to"]:
                by_address.setdefault(address, set()).add(mail_id)
        return by_id, by_address

    def clear_mails(self):
        urllib.request.urlopen(urllib.request.Request(f"{self.inbox}/messages", method="DELETE"), timeout=10).close()
