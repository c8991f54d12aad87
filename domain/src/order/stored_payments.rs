//! How a folded order stores its payments. Orders with one payment are stored as builds did that knew of one only.

/// The payments of an order: one is stored as itself, several as a list.
pub(super) mod payments {
    use std::fmt;

    use serde::de::value::MapAccessDeserializer;
    use serde::de::{MapAccess, SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::order::payments::Payment;

    pub(in crate::order) fn serialize<S: Serializer>(payments: &[Payment], serializer: S) -> Result<S::Ok, S::Error> {
        match payments {
            [only] => only.serialize(serializer),
            several => several.serialize(serializer),
        }
    }

    pub(in crate::order) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Payment>, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }

    struct OneOrSeveral;

    impl<'de> Visitor<'de> for OneOrSeveral {
        type Value = Vec<Payment>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a payment or a list of payments")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Payment>, A::Error> {
            Payment::deserialize(MapAccessDeserializer::new(map)).map(|only| vec![only])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Payment>, A::Error> {
            let mut payments = Vec::new();
            while let Some(payment) = list.next_element()? {
                payments.push(payment);
            }
            Ok(payments)
        }
    }
}

/// The captures for a shipment: one from the first payment is stored as fields of the shipment.
pub(super) mod captures {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::order::payments::ShipmentCapture;
    use crate::order::state::is_zero;

    #[derive(Serialize, Deserialize)]
    struct StoredCaptures {
        settled: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        given_up: bool,
        #[serde(default, skip_serializing_if = "is_zero")]
        retries: u32,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        captures: Vec<ShipmentCapture>,
    }

    pub(in crate::order) fn serialize<S: Serializer>(captures: &[ShipmentCapture], to: S) -> Result<S::Ok, S::Error> {
        let stored = match captures {
            [ShipmentCapture { payment_number: 1, settled, given_up, retries }] => {
                StoredCaptures { settled: *settled, given_up: *given_up, retries: *retries, captures: vec![] }
            }
            _ => StoredCaptures {
                settled: captures.iter().all(|capture| capture.settled),
                given_up: false,
                retries: 0,
                captures: captures.to_vec(),
            },
        };
        stored.serialize(to)
    }

    pub(in crate::order) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ShipmentCapture>, D::Error> {
        let StoredCaptures { settled, given_up, retries, captures } = StoredCaptures::deserialize(from)?;
        let first = ShipmentCapture { payment_number: 1, settled, given_up, retries };
        Ok(if captures.is_empty() { vec![first] } else { captures })
    }
}
