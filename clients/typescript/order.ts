// Places an order, reads it and cancels it. `generated` is made from the document by Hey API.
import { cancelOrder, getOrder, placeOrder } from "./generated/index.js";
import { client } from "./generated/client.gen.js";

const [baseUrl, token] = process.argv.slice(2);
client.setConfig({ baseUrl, ...(token ? { headers: { Authorization: `Bearer ${token}` } } : {}) });

const placed = await placeOrder({
  headers: { "Idempotency-Key": crypto.randomUUID() },
  body: {
    customerId: "customer-42",
    currency: "USD",
    totalAmount: "129.99",
    items: [{ sku: "sku-of-typescript", quantity: 1, unitPrice: "129.99" }],
  },
});
if (!placed.data) throw new Error(`not placed: ${placed.error.code}`);
const { orderId, position } = placed.data;

const read = await getOrder({ path: { order_id: orderId }, query: { minPosition: position } });
if (read.data?.total.amount !== "129.99") throw new Error(`not as it was placed: ${JSON.stringify(read)}`);

const cancelled = await cancelOrder({ path: { order_id: orderId }, body: { reason: "changed my mind" } });
if (!cancelled.data) throw new Error(`not cancelled: ${cancelled.error.code}`);

const nobody = await getOrder({ path: { order_id: "nobody" } });
if (nobody.error?.code !== "not-found") throw new Error(`there is one: ${JSON.stringify(nobody)}`);
console.log(`${orderId}: placed, read and cancelled at version ${cancelled.data.version}`);
