"""Many orders at once, and whether each of them gets its mail, once."""

import collections
import concurrent.futures
import http.client
import json
import re
import time

from stack import INBOX, ROOT, get, until

CONNECTIONS = 16
# A message whose mail was sent, but which was not taken off its queue, is seen again after 30 s.
SEEN_AGAIN = 35


class Orders:
    """As many as are asked for, under a name of their own."""

    def __init__(self, count, token):
        self.count, self.token, self.name, self.ended = count, token, f"load{time.time_ns()}", None

    def post(self, numbers):
        order = json.loads((ROOT / "domain/golden/posted/demo-order.json").read_text())
        connection = http.client.HTTPConnection("127.0.0.1", 3000, timeout=30)
        codes = []
        for number in numbers:
            body = json.dumps(order | {"orderId": f"{self.name}-{number:05}"})
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
            connection.request("POST", "/orders", body, headers)
            answer = connection.getresponse()
            answer.read()
            codes.append(answer.status)
        return codes

    def mails(self):
        """How many there are about each order."""
        listed = json.loads(get(f"{INBOX}/messages?q={self.name}-") or "[]")
        about = [set(re.findall(rf"{self.name}-\d+", json.dumps(mail))) for mail in listed]
        return collections.Counter(order for orders in about for order in orders)

    def have_their_mails(self, patience):
        """Posts the orders over a few connections, and waits for their mails."""
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            parts = [range(first, self.count, CONNECTIONS) for first in range(CONNECTIONS)]
            codes = collections.Counter(code for part in pool.map(self.post, parts) for code in part)
        posted = time.monotonic() - began
        until(lambda: len(self.mails()) == self.count, patience, pause=1)
        found, self.ended = self.mails(), time.monotonic()
        print(f"      {self.count} orders in {posted:.1f} s, mails of {len(found)} after {self.ended - began:.1f} s; answers {dict(codes)}")
        return codes[201] == self.count and len(found) == self.count

    def have_no_second_mail(self):
        """Also not once their messages could be seen again."""
        def is_there():
            return any(times > 1 for times in self.mails().values())

        until(is_there, self.ended + SEEN_AGAIN - time.monotonic(), pause=1)
        # An inbox that does not answer, or has forgotten them, shows nothing.
        found = self.mails()
        return len(found) == self.count and set(found.values()) == {1}
