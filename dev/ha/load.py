"""Orders at an even rate, on both copies in turn, each with a known customer and an `Idempotency-Key`, and what became of them."""

import asyncio
import itertools
import json
import threading
import time

# Far above what any answer takes.
ANSWER_WITHIN = 40
# So many requests are on their way at the most; what would be one more is left out.
MOST = 1500
# An order whose outcome is unknown is sent again for so long.
AGAIN_FOR = 90
NOTHING_STORED = {"database-unavailable", "overloaded", "stopping", "too-many-connections", "idempotency-key-in-use"}


class Request:
    """One order, however often it is sent."""

    def __init__(self, name, number):
        self.customer = f"{name}-{number}"
        # Every second order gets its id from Ordo, so that the key alone keeps it from being stored twice.
        self.order = f"{name}-{number}" if number % 2 == 0 else None
        # Every fourth is sent once, so that what was refused, and is not sent again, can be looked for.
        self.is_sent_again = number % 4 != 3
        self.answers = []
        self.acknowledged = None

    def body(self):
        order = {
            "customerId": self.customer,
            # An address of its own: so many mails at once go to nobody.
            "customer": {"id": self.customer, "email": f"{self.customer}@shop.example"},
            "totalAmount": 129.99,
            "currency": "USD",
            "items": [{"sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": 129.99}],
        }
        return json.dumps(order | ({"orderId": self.order} if self.order else {})).encode()

    def outcome(self):
        """acknowledged, unknown, or refused: surely not stored."""
        if self.acknowledged:
            return "acknowledged"
        return "unknown" if any(it == "unknown" for it in self.answers) else "refused"


class Load:
    def __init__(self, name, ports, rate):
        self.name, self.ports, self.rate = name, ports, rate
        self.requests = []
        # When each acknowledgement came.
        self.times = []
        # What no client should ever see.
        self.surprises = []
        self.left_out = 0
        self.outstanding = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def start(self):
        self.thread.start()

    def stop(self):
        """No new orders; those on their way are waited for."""
        self.stopping.set()
        self.thread.join()

    def send_all_again(self):
        """What was acknowledged is asked for once more, under the same keys."""

        async def send():
            for first in range(0, len(acknowledged), 16):
                await asyncio.gather(*(self._place(it, number) for number, it in enumerate(acknowledged[first : first + 16])))

        acknowledged = [it for it in self.requests if it.acknowledged]
        for request in acknowledged:
            request.acknowledged, request.is_sent_again = None, True
        asyncio.run(send())

    async def _run(self):
        tasks = set()
        began, number = time.monotonic(), 0
        while not self.stopping.is_set():
            await asyncio.sleep(max(0, began + number / self.rate - time.monotonic()))
            number += 1
            if len(tasks) >= MOST:
                self.left_out += 1
                continue
            request = Request(self.name, number)
            self.requests.append(request)
            task = asyncio.create_task(self._place(request, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _place(self, request, number):
        deadline = time.monotonic() + AGAIN_FOR
        while True:
            port = self.ports[number % len(self.ports)]
            number += 1
            answer = await self._post(request, port)
            request.answers.append(answer)
            if request.acknowledged or not request.is_sent_again or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.5)

    async def _post(self, request, port):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return "refused"
        try:
            body = request.body()
            head = f"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Idempotency-Key: key-{request.customer}\r\nConnection: close\r\n\r\n".encode() + body)
            answer = await asyncio.wait_for(reader.read(), ANSWER_WITHIN)
            return self._read(request, answer)
        except (OSError, asyncio.TimeoutError):
            return "unknown"
        finally:
            writer.close()

    def _read(self, request, answer):
        head, _, body = answer.partition(b"\r\n\r\n")
        try:
            status, said = int(head.split(b" ", 2)[1]), json.loads(body)
        except (ValueError, IndexError):
            # Cut off in the middle.
            return "unknown"
        if status == 201:
            now = time.monotonic()
            self.times.append(now)
            request.acknowledged = {"orderId": said["orderId"], "position": said["position"], "at": now}
            return "acknowledged"
        if status == 503 and said.get("code") == "outcome-unknown":
            return "unknown"
        if status in {409, 503} and said.get("code") in NOTHING_STORED:
            return "refused"
        self.surprises.append(f"{request.customer}: {status} {body[:300].decode(errors='replace')}")
        return "unknown"

    def longest_gap(self):
        """The longest time between two acknowledgements, in seconds."""
        return max((later - earlier for earlier, later in itertools.pairwise(sorted(self.times))), default=0.0)

    def acknowledged_since(self, moment):
        return sum(1 for it in list(self.times) if it > moment)


class Witness:
    """Follows the log from outside, as a client would: what it has seen must stay."""

    def __init__(self, port, answer_of):
        self.url, self.answer_of = f"http://127.0.0.1:{port}/events?sort=position&limit=200&fromPosition=", answer_of
        self.seen = {}
        self.backwards = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def start(self, position):
        self.position = position
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def _run(self):
        while not self.stopping.is_set():
            page = self.answer_of(f"{self.url}{self.position + 1}", timeout=10) or {}
            for event in page.get("items", []):
                if event["position"] <= self.position:
                    self.backwards.append(event["position"])
                self.position = event["position"]
                self.seen[event["position"]] = event["eventId"]
            time.sleep(0.1)
