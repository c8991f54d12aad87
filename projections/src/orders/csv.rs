//! Orders as CSV (RFC 4180).

use serde_json::{Map, Value};

/// The columns, and where each is in the JSON of an order. A column of which the order has nothing is empty.
const COLUMNS: [(&str, &[&str]); 18] = [
    ("orderId", &["orderId"]),
    ("customerId", &["customerId"]),
    ("customerEmail", &["customerEmail"]),
    ("status", &["status"]),
    ("statusSince", &["statusSince"]),
    ("paymentStatus", &["paymentStatus"]),
    ("fulfilmentStatus", &["fulfilmentStatus"]),
    ("returnsStatus", &["returnsStatus"]),
    ("createdAt", &["createdAt"]),
    ("updatedAt", &["updatedAt"]),
    ("placedAt", &["placedAt"]),
    ("currency", &["total", "currency"]),
    ("total", &["total", "amount"]),
    ("captured", &["captured", "amount"]),
    ("refunded", &["refunded", "amount"]),
    ("cancelled", &["cancelled", "amount"]),
    ("notes", &["notes"]),
    // What is new comes last, so that programs that count columns go on.
    ("orderNumber", &["orderNumber"]),
];

/// Writes the names of the columns.
pub(super) fn write_head(to: &mut String) {
    write_record(to, COLUMNS.iter().map(|(name, _)| *name));
}

/// Writes an order: a record of all columns.
pub(super) fn write_order(to: &mut String, order: &Map<String, Value>) {
    write_record(
        to,
        COLUMNS.iter().map(|(_, path)| {
            let mut names = path.iter();
            let first = names.next().and_then(|name| order.get(*name));
            let value = names.fold(first, |value, name| value.and_then(|value| value.get(*name)));
            value.and_then(Value::as_str).unwrap_or_default()
        }),
    );
}

fn write_record<'a>(to: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (nth, field) in fields.enumerate() {
        to.push_str(if nth > 0 { "," } else { "" });
        write_field(to, field);
    }
    to.push_str("\r\n");
}

/// A field that a spreadsheet would take for a formula gets an apostrophe before it, which has it taken for text.
fn write_field(to: &mut String, field: &str) {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if !is_formula && !field.contains([',', '"', '\r', '\n', ';']) && field.trim() == field {
        to.push_str(field);
        return;
    }
    to.push('"');
    to.push_str(if is_formula { "'" } else { "" });
    to.push_str(&field.replace('"', "\"\""));
    to.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        for (field, written) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            (" space", "\" space\""),
            ("=1+1", "\"'=1+1\""),
            ("+49 30", "\"'+49 30\""),
            ("-5", "\"'-5\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("a=1", "a=1"),
        ] {
            let mut text = String::new();
            write_field(&mut text, field);
            assert_eq!(text, written, "{field}");
        }
    }

    #[test]
    fn an_order_has_each_column_in_its_place() {
        let (mut head, mut record) = (String::new(), String::new());
        write_head(&mut head);
        let order = json!({ "orderId": "a", "total": { "amount": "1.50", "currency": "EUR" }, "notes": "x,y", "orderNumber": "A-1" });
        write_order(&mut record, order.as_object().unwrap());
        let (head, record) = (head.trim_end(), record.trim_end());
        assert_eq!(record, "a,,,,,,,,,,,EUR,1.50,,,,\"x,y\",A-1");
        assert_eq!(head.split(',').count(), COLUMNS.len());
        assert_eq!(head.split(',').nth(12), Some("total"));
    }
}
