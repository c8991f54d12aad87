"""The shop behind the console: `ordo up`, a payment provider that can be out of order, and what clients and mishaps do."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import fail

ATTACK = "<script>document.title='attacked'</script><img src=http://elsewhere.example/x onerror=document.title='attacked'>"
# What turns text round, what can't be seen, and what a spreadsheet takes for a formula.
HOSTILE = f"=1+1 {ATTACK} \u202etxet\u2066 \u200b"

# The same where a label has to fit in a hundred characters.
LABEL = "=1+1 <img src=x onerror=document.title='attacked'> \u202etxet\u2066"
# The same with control characters, which are taken where texts have lines.
WILD = f"{HOSTILE} \a\x1b[2J\x85\u2028\u200e\ufeff"
# What personal data has in it.
PRIVATE = f"private {HOSTILE}"
NAMED = {"name": PRIVATE, "line1": PRIVATE, "line2": PRIVATE, "postalCode": "12345", "city": PRIVATE, "region": PRIVATE,
         "company": PRIVATE, "country": "DE"}
TAX = {"name": LABEL, "rate": "0", "amount": "0.00"}
DISCOUNT = {"code": LABEL, "reason": HOSTILE, "amount": "0.00"}
# Every field of an order that takes words.
EVERYWHERE = {
    "customer": {"name": PRIVATE, "phone": "=1+1 private", "taxId": "=1+1 private", "locale": "de-DE"},
    "billingAddress": NAMED, "shippingAddress": NAMED,
    "shipping": {"method": LABEL, "carrier": LABEL, "amount": "0.00", "taxes": [TAX]}, "discounts": [DISCOUNT],
    "channel": LABEL, "source": LABEL, "tags": [LABEL, "=1+1"], "notes": f"{WILD}\nprivate", "metadata": {WILD: WILD},
    "items": [{"sku": "sku-" + "x" * 60, "title": f"{WILD} {'W' * 80}", "variant": HOSTILE, "attributes": {LABEL: WILD},
               "quantity": 2, "unitPrice": "10.00", "discounts": [DISCOUNT], "taxes": [TAX], "metadata": {WILD: WILD}}],
}


class Provider(ThreadingHTTPServer):
    """Stripe, as far as it is asked here. It does not know the payment methods in `unknown`, each for its reason."""

    daemon_threads = True

    def __init__(self):
        self.unknown, self.intents, self.refunds, self.lock = {}, {}, [], threading.Lock()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length", 0))
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                with provider.lock:
                    status, said = provider.answer(self.command, urllib.parse.urlsplit(self.path).path, form)
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, method, path, form):
        if path.endswith("/search"):
            return 200, {"data": []}
        if path == "/v1/refunds":
            if method == "POST":
                made = {"id": f"re_{len(self.refunds)}", "amount": int(form["amount"]), "status": "succeeded",
                        "payment_intent": form["payment_intent"], "metadata": {"ordo_key": form["metadata[ordo_key]"]}}
                self.refunds.append(made)
                return 200, made
            return 200, {"data": []}
        if path == "/v1/payment_intents":
            if form["payment_method"] in self.unknown:
                return 400, {"error": {"code": "resource_missing", "message": self.unknown[form["payment_method"]]}}
            made = {"id": f"pi_{len(self.intents)}", "status": "requires_capture", "amount_received": 0, "metadata": {}}
            self.intents[made["id"]] = made
            return 200, made
        intent = self.intents[path.split("/")[3]]
        if path.endswith("/capture"):
            marks = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
            intent["metadata"] |= marks
            intent["amount_received"] += int(form["amount_to_capture"])
            intent["status"] = "requires_capture" if form.get("final_capture") == "false" else "succeeded"
        if path.endswith("/cancel"):
            intent["status"] = "canceled"
        return 200, intent


class Shop:
    """A running platform with its callers."""

    def __init__(self, program, scratch, started):
        self.program, self.scratch, self.provider = program, scratch, Provider()
        environment = {name: value for name, value in os.environ.items() if not re.match("DATABASE_URL|ORDO_|AWS_", name)}
        self.environment = environment | {
            "TMPDIR": str(scratch / "tmp"), "ORDO_TOKEN_SECRET": "0123456789abcdef0123456789abcdef", "ORDO_REQUIRE_AUTH": "true",
            "ORDO_PAYMENT_PROVIDER": "stripe", "ORDO_STRIPE_URL": self.provider.url, "ORDO_STRIPE_SECRET_KEY": "sk_test_1",
        }
        listen = [f"--{name}=127.0.0.1:0" for name in ("listen", "ops-listen", "console-listen", "sqs-listen", "ses-listen")]
        platform = subprocess.Popen([program, "up", "--ephemeral", "--json", *listen], cwd=scratch, env=self.environment, text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=(scratch / "err").open("w"))
        started.append(platform)
        line = platform.stdout.readline()
        where = json.loads(line) if line else fail("the platform ended before it was ready")
        self.api, self.ops, self.console = where["api"], where["ops"], where["console"]
        # With the database's password, which it does not say aloud.
        self.database = json.loads((scratch / ".ordo" / "ephemeral.json").read_text())["database"]
        self.tokens = {role: self.token(role) for role in ("shop", "operator", "support", "warehouse", "auditor")}

    def token(self, role):
        line = [self.program, "token", "--role", role]
        made = subprocess.run(line, env=self.environment, cwd=self.scratch, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    def ask(self, path, body=None, role="shop", at=None):
        headers = {"authorization": f"Bearer {self.tokens[role]}"}
        headers |= {} if body is None else {"content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request((at or self.api) + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def order(self, order_id, method="pm_card_visa", **more):
        """Posts an order that is hostile wherever a client may write."""
        order = {
            "orderId": order_id, "customerId": f"customer-of-{order_id}", "customerEmail": f"{order_id}@example.com",
            "currency": "EUR", "totalAmount": "20.00", "paymentToken": method,
            "customer": {"name": f"Cleo {HOSTILE}"}, "tags": ["gift", "=1+1"],
            "shippingAddress": {"name": HOSTILE, "line1": "A" * 90, "postalCode": "12345", "city": "Berlin", "country": "DE"},
            "items": [{"sku": "sku-" + "x" * 60, "title": f"{HOSTILE} {'W' * 80}", "quantity": 2, "unitPrice": "10.00"}],
            "metadata": {"k": HOSTILE},
        }
        return self.ask("/orders", order | more)

    def until(self, order_id, holds, what):
        """Waits until an order is as it shall be."""
        now = None
        for _ in range(600):
            try:
                if holds(now := self.ask(f"/orders/{order_id}")):
                    return now
            except urllib.error.HTTPError as refused:
                # It is not shown yet.
                if refused.code != 404:
                    raise
            time.sleep(0.1)
        fail(f"{order_id} does not become {what}: {now}")

    def confirmed(self, order_id, **more):
        self.order(order_id, **more)
        self.settled(order_id, lambda order: order["status"] == "confirmed", "confirmed")

    def settled(self, order_id, holds, what):
        """Waits until an order is as it shall be, with its mail sent: nothing more happens to it by itself."""
        self.until(order_id, lambda order: holds(order) and self.saga(order_id) == "completed", what)

    def stuck(self, method, *order_ids, why=""):
        """Orders that are paid by what the provider does not know."""
        self.provider.unknown[method] = f"No such PaymentMethod: {method}{why}"
        for order_id in order_ids:
            self.order(order_id, method)
        for order_id in order_ids:
            self.until(order_id, lambda _: self.saga(order_id) == "stuck", "stuck")

    def saga(self, order_id):
        return self.ask(f"/orders/{order_id}/saga", role="operator", at=self.ops)["state"]

    def mend(self, method):
        del self.provider.unknown[method]

    def sql(self, statement):
        found = shutil.which("psql") or next(iter(glob.glob("/usr/lib/postgresql/*/bin/psql")), None)
        line = [found or fail("psql is missing"), self.database, "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(line, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else fail(f"{statement}: {done.stderr}")

    def park(self, *order_ids):
        """Spoils what is shown of orders, so that their next event is parked."""
        for order_id in order_ids:
            self.sql("update read_model_orders set item = json_build_object('was', item) "
                     f"where pk = 'ORDER#{order_id}' and sk = '#META'")
            self.sql("insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) "
                     f"select 'order', '{order_id}', max(sequence) + 1, 'OrderConfirmed', '1.0', '{{\"OrderConfirmed\":{{}}}}', '{{}}' "
                     f"from events where aggregate_type = 'order' and aggregate_id = '{order_id}'")

    def unspoil(self, *order_ids):
        for order_id in order_ids:
            self.sql(f"update read_model_orders set item = item -> 'was' where pk = 'ORDER#{order_id}' and sk = '#META'")

    def all_that_was_done(self):
        """What a form could have changed."""
        tables = ("events", "saga_work", "bulk_actions", "replays", "parked_events", "stopped_subscriptions", "webhook_endpoints",
                  "api_keys", "idempotency_records")
        counts = [f"select '{name}', count(*), md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from {name} as t"
                  for name in tables]
        return self.sql(" union all ".join(counts))


def stop(process):
    is_browser = os.getpgid(process.pid) == process.pid if process.poll() is None else False
    if is_browser:
        os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
