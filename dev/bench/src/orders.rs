//! The orders that are posted: the demo order or a full one, each under an id of its own and spread over 1,000 customers.
//!
//! A request is prepared once; for each order only the digits that differ are written into it.

use uuid::Uuid;

use crate::load::Requests;

/// What an order says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderBody {
    /// The demo order.
    Demo,
    /// The demo order in so many bytes: longer notes, and more lines where those do not suffice.
    OfBytes(usize),
    /// What a shop sends: two addresses, a customer, two lines with taxes and discounts, postage. About 2 kB.
    Full,
}

/// Whole requests. Each connection has a copy of its own.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    request: Vec<u8>,
    /// What the ids of these orders begin with.
    prefix: String,
    body: usize,
    order_digits: usize,
    customer_digits: usize,
    key_digits: Option<usize>,
}

/// More orders than any run has.
const ORDER_DIGITS: usize = 12;
const CUSTOMER_DIGITS: usize = 3;

/// As much as the API takes for `notes`.
const LONGEST_NOTES: usize = 4_000;
const UNIT_PRICE_CENTS: usize = 12_999;
const SKU: &str = "sku-123";

impl Orders {
    /// Orders for the API at `host`, with ids that no other orders have.
    pub(crate) fn new(host: &str, payload: OrderBody, idempotency_keys: bool) -> Self {
        Self::of_sku(SKU, host, payload, idempotency_keys)
    }

    /// The same for one unit of this SKU.
    pub(crate) fn of_sku(sku: &str, host: &str, payload: OrderBody, idempotency_keys: bool) -> Self {
        Self::prepare(sku, host, payload, idempotency_keys, None)
    }

    /// The same from a caller with this credential, if any.
    pub(crate) fn with_credential(
        host: &str,
        payload: OrderBody,
        idempotency_keys: bool,
        credential: Option<&str>,
    ) -> Self {
        Self::prepare(SKU, host, payload, idempotency_keys, credential)
    }

    fn prepare(sku: &str, host: &str, payload: OrderBody, idempotency_keys: bool, credential: Option<&str>) -> Self {
        let prefix = format!("bench-{}-", Uuid::now_v7().simple());
        let order_id = format!("{prefix}{}", "0".repeat(ORDER_DIGITS));
        let customer = format!("customer-{}", "0".repeat(CUSTOMER_DIGITS));
        let body = match payload {
            OrderBody::Demo => demo_order(&order_id, &customer, sku, 0),
            OrderBody::OfBytes(bytes) => demo_order(&order_id, &customer, sku, bytes),
            OrderBody::Full => full_order(&order_id, &customer, sku),
        };
        let key = idempotency_keys.then(|| Uuid::now_v7().to_string());
        let mut head = format!("POST /orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        if let Some(credential) = credential {
            head.push_str(&format!("Authorization: Bearer {credential}\r\n"));
        }
        let key_digits = key.map(|key| {
            head.push_str("Idempotency-Key: ");
            head.push_str(&key);
            head.push_str("\r\n");
            head.len() - 2 - ORDER_DIGITS
        });
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let behind = |text: &str, digits: usize| head.len() + body.find(text).map_or(0, |at| at + text.len()) - digits;
        Self {
            order_digits: behind(&order_id, ORDER_DIGITS),
            customer_digits: behind(&customer, CUSTOMER_DIGITS),
            key_digits,
            body: head.len(),
            request: [head.as_bytes(), body.as_bytes()].concat(),
            prefix,
        }
    }

    /// The `nth` order alone.
    pub(crate) fn order(&mut self, nth: u64) -> &[u8] {
        let body = self.body;
        self.request(nth).get(body..).unwrap_or_default()
    }

    /// The `nth` order's id.
    pub(crate) fn order_id(&self, nth: u64) -> String {
        format!("{}{nth:012}", self.prefix)
    }

    /// What the ids of all of them begin with, and of no other order.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The bytes of one order.
    pub(crate) fn order_bytes(&self) -> usize {
        self.request.len() - self.body
    }
}

impl Requests for Orders {
    const SUCCESS: u16 = 201;

    fn request(&mut self, nth: u64) -> &[u8] {
        write_digits(&mut self.request, self.order_digits, ORDER_DIGITS, nth);
        write_digits(&mut self.request, self.customer_digits, CUSTOMER_DIGITS, nth % 1_000);
        if let Some(at) = self.key_digits {
            write_digits(&mut self.request, at, ORDER_DIGITS, nth);
        }
        &self.request
    }
}

/// Writes a number into a request, with so many digits.
pub(crate) fn write_digits(request: &mut [u8], at: usize, digits: usize, mut number: u64) {
    for digit in request.get_mut(at..at + digits).unwrap_or_default().iter_mut().rev() {
        // The remainder is one digit.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// The demo order, in at least so many bytes.
fn demo_order(order_id: &str, customer: &str, sku: &str, bytes: usize) -> String {
    let of = |more_lines: usize, notes: usize| {
        let total = UNIT_PRICE_CENTS * (1 + more_lines);
        let line = format!(
            r#",{{"sku":"sku-124","title":"{}","quantity":1,"unitPrice":129.99}}"#,
            "Headphones ".repeat(45).trim_end()
        );
        format!(
            r#"{{"orderId":"{order_id}","customerId":"{customer}","totalAmount":{}.{:02},"currency":"USD","items":[{{"sku":"{sku}","title":"Wireless Headphones","quantity":1,"unitPrice":129.99}}{}],"notes":"{}{}","metadata":{{"channel":"rest-client","requestedAt":"1759035874964"}}}}"#,
            total / 100,
            total % 100,
            line.repeat(more_lines),
            NOTES,
            "x".repeat(notes),
        )
    };
    const NOTES: &str = "REST Client sample order";
    let longer_notes = LONGEST_NOTES - NOTES.len();
    let mut more_lines = 0;
    loop {
        let missing = bytes.saturating_sub(of(more_lines, 0).len());
        if missing <= longer_notes {
            return of(more_lines, missing);
        }
        more_lines += 1;
    }
}

fn full_order(order_id: &str, customer: &str, sku: &str) -> String {
    let address = |name: &str| {
        serde_json::json!({
            "name": name, "company": "Analytical Engines GmbH", "line1": "Friedrichstraße 123", "line2": "Hinterhaus, 3. Stock",
            "city": "Berlin", "region": "BE", "postalCode": "10117", "country": "DE", "phone": "+493012345678",
        })
    };
    let tax =
        |amount: &str| serde_json::json!([{ "name": "VAT 19 %", "rate": "0.19", "amount": amount, "included": false }]);
    serde_json::json!({
        "orderId": order_id, "customerId": customer, "currency": "USD", "totalAmount": "295.69",
        "customer": { "email": "ada.lovelace@shop.example", "name": "Ada Lovelace", "locale": "en-GB" },
        "shippingAddress": address("Ada Lovelace"), "billingAddress": address("A. Lovelace, accounts payable"),
        "items": [
            {
                "sku": sku, "title": "Wireless Headphones, noise cancelling, black", "quantity": 1, "unitPrice": "129.99",
                "taxes": tax("24.70"),
            },
            {
                "sku": "TSHIRT/RED L", "title": "T-shirt, organic cotton, red, size L", "quantity": 3, "unitPrice": "25.00",
                "discounts": [{ "code": "SUMMER10", "amount": "7.50", "reason": "Ten percent off in summer" }],
                "taxes": tax("12.83"),
            },
            {
                "sku": "MUG-BLUE", "title": "Mug, blue, 330 ml, stoneware", "quantity": 3, "unitPrice": "12.50",
                "taxes": tax("7.13"),
            },
        ],
        "shipping": { "method": "standard", "carrier": "DHL", "amount": "13.48", "taxes": tax("2.56") },
        "notes": "Please leave it with the neighbours on the second floor if nobody is in before six. The bell is broken, so knock, and mind the dog: she is friendly, loud, and afraid of parcels that are larger than she is. No signature is needed.",
        "tags": ["web", "newsletter", "summer"],
        "metadata": {
            "channel": "web", "campaign": "summer-2026", "basketId": "7b0c2c5e-8a3f-4b5e-9b5d-2d4a1f0e6c11",
            "requestedAt": "1759035874964", "client": "storefront 4.12.0",
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::order::parse::PostedOrder;

    use super::*;

    #[test]
    fn every_order_is_one_the_api_takes_under_an_id_of_its_own() {
        let mut seen = HashSet::new();
        let each = |body| [0, 1, 999, 1_000, 123_456_789_012].map(move |nth| (body, nth));
        for (body, nth) in [OrderBody::Demo, OrderBody::Full].into_iter().flat_map(each) {
            let mut orders = Orders::new("127.0.0.1:3000", body, false);
            let order = PostedOrder::parse(orders.order(nth)).unwrap();
            let order_id = order.order_id.unwrap().to_string();
            assert_eq!(order_id, orders.order_id(nth));
            assert!(order_id.starts_with(orders.prefix()));
            assert_eq!(order.content.customer_id.unwrap().as_str(), format!("customer-{:03}", nth % 1_000));
            assert!(seen.insert(order_id));
        }
    }

    #[test]
    fn an_order_has_the_size_that_was_asked_for_and_its_lines_add_up() {
        for bytes in [512, 1_000, 4_300, 5_000, 20_000, 262_144] {
            let mut orders = Orders::new("127.0.0.1:3000", OrderBody::OfBytes(bytes), false);
            assert_eq!(orders.order_bytes(), bytes);
            let order = PostedOrder::parse(orders.order(7)).unwrap();
            assert!(order.content.notes.unwrap().chars().count() <= LONGEST_NOTES);
        }
    }

    #[test]
    fn a_request_says_how_long_it_is_and_has_a_fresh_key_if_asked() {
        let mut orders = Orders::new("shop:80", OrderBody::Demo, true);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let keys: HashSet<Uuid> = (0..100)
            .map(|nth| {
                let request = text(orders.request(nth));
                assert!(request.contains(&format!("\r\nContent-Length: {}\r\n\r\n{{", orders.order_bytes())));
                let key = request.lines().find_map(|line| line.strip_prefix("Idempotency-Key: ")).unwrap();
                key.parse().unwrap()
            })
            .collect();
        assert_eq!(keys.len(), 100);
        assert!(!text(Orders::new("shop:80", OrderBody::Demo, false).request(0)).contains("Idempotency-Key"));
        let mut authorized = Orders::with_credential("shop:80", OrderBody::Demo, false, Some("a.b.c"));
        let request = text(authorized.request(7));
        assert!(request.contains("\r\nAuthorization: Bearer a.b.c\r\n") && request.contains(&authorized.order_id(7)));
    }
}
