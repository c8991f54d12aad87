"""Receives webhooks of the running platform, and verifies each by the library of Standard Webhooks.

.ci/platform PROGRAM python .ci/webhooks.py
"""
import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

EVENTS = ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed", "NotificationSent"]
PATIENCE = 60
received = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        received.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def post(url, body):
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['ORDO_TOKEN']}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def fail(what):
    print(f"webhooks: {what}", file=sys.stderr)
    sys.exit(1)


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/hooks"
secret = post(f"{os.environ['ORDO_OPS']}/webhooks", {"url": url, "role": "shop"})["secret"]
order = {
    "orderId": "hooked-1", "customerId": "customer-42", "totalAmount": "129.99", "currency": "USD", "notes": "Grüße, 你好 <&>",
    "items": [{"sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": "129.99"}],
}
post(f"{os.environ['ORDO_API']}/orders", order)

until = time.monotonic() + PATIENCE
while len({headers["webhook-id"] for headers, _ in received}) < len(EVENTS):
    if time.monotonic() > until:
        fail(f"{len(received)} deliveries came within {PATIENCE} s")
    time.sleep(0.1)

webhook, types = Webhook(secret), []
for headers, body in received:
    event = webhook.verify(body, headers)
    if event["id"] != headers["webhook-id"] or event["subject"] != "hooked-1":
        fail(f"{headers} came with {body}")
    if event["type"] not in types:
        types.append(event["type"])
if types != EVENTS:
    fail(f"came in the order {types}")
if json.loads(received[0][1])["data"]["data"]["notes"] != order["notes"]:
    fail(f"the notes are others: {received[0][1]}")
for headers, body in [
    (received[0][0], received[0][1] + " "),
    ({**received[0][0], "webhook-id": "another"}, received[0][1]),
    ({**received[0][0], "webhook-timestamp": str(int(time.time()) + 1)}, received[0][1]),
]:
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError:
        continue
    fail(f"a forged delivery was verified: {headers}")
print(f"webhooks: {len(received)} deliveries, verified by the library of Standard Webhooks")
