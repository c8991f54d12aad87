"""Places an order, reads it and cancels it. `ordo_client` is made from the document by openapi-python-client."""

import sys
import uuid

from ordo_client import AuthenticatedClient, Client
from ordo_client.api.orders import cancel_order, get_order, place_order
from ordo_client.models import NewCancellation, NewOrder, NewOrderItem, Order, OrderAccepted

base_url, *token = sys.argv[1:]
client = AuthenticatedClient(base_url=base_url, token=token[0]) if token else Client(base_url=base_url)

item = NewOrderItem(sku="sku-of-python", quantity=1, unit_price="129.99")
order = NewOrder(customer_id="customer-42", currency="USD", total_amount="129.99", items=[item])
placed = place_order.sync(client=client, body=order, idempotency_key=str(uuid.uuid4()))
assert isinstance(placed, OrderAccepted), placed

read = get_order.sync(placed.order_id, client=client, min_position=placed.position)
assert isinstance(read, Order), read
assert read.total.amount == "129.99", read

cancelled = cancel_order.sync(placed.order_id, client=client, body=NewCancellation(reason="changed my mind"))
assert isinstance(cancelled, OrderAccepted), cancelled

nobody = get_order.sync_detailed("nobody", client=client)
assert nobody.status_code == 404 and nobody.parsed.code == "not-found", nobody
print(f"{placed.order_id}: placed, read and cancelled at version {cancelled.version}")
