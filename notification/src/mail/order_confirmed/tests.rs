use messaging::{Line, Template};
use uuid::Uuid;

use super::*;

#[test]
fn the_mail_is_the_golden_mail() {
    let content = content(&request()).unwrap();

    assert_eq!(content.subject, "Order demo-1759035874968 confirmed");
    golden("order_confirmed.txt", &content.text);
    golden("order_confirmed.html", &content.html);
}

#[test]
fn a_title_with_markup_is_shown_and_not_run() {
    let mut request = request();
    request.lines[0].title = "<script>alert('x')</script> & \"Co\"".into();

    let content = content(&request).unwrap();

    assert!(!content.html.contains("<script>"));
    assert!(content.html.contains("&#60;script&#62;"), "{}", content.html);
    assert!(content.text.contains("<script>alert('x')</script> & \"Co\""), "text is text");
}

#[test]
fn no_value_can_start_a_line_of_its_own() {
    let mut request = request();
    request.order_id = "o-1\r\nBcc: eve@example.com".into();
    request.lines[0].title = "Mug\nTotal: 0.00 USD".into();

    let content = content(&request).unwrap();

    assert_eq!(content.subject, "Order o-1  Bcc: eve@example.com confirmed");
    assert!(content.text.contains("Mug Total: 0.00 USD"), "{}", content.text);
}

fn request() -> NotificationRequested {
    let line = |sku: &str, title: &str, quantity, unit_price: &str, line_total: &str| Line {
        sku: sku.into(),
        title: title.into(),
        quantity,
        unit_price: unit_price.into(),
        line_total: line_total.into(),
    };
    NotificationRequested {
        notification_id: Uuid::from_u128(1),
        attempt: 1,
        template: Template::OrderConfirmed,
        recipient: None,
        order_id: "demo-1759035874968".into(),
        customer_id: "customer-42".into(),
        currency: "USD".into(),
        total_amount: "2629.99".into(),
        lines: vec![
            line("sku-123", "Wireless Headphones", 1, "129.99", "129.99"),
            line("sku-7", "Standing Desk, Oak", 2, "1250.00", "2500.00"),
        ],
        omitted_lines: 0,
        retry_failed: false,
    }
}

/// Compares with the golden file; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, rendered: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, rendered).unwrap();
    }
    assert_eq!(rendered, std::fs::read_to_string(&path).unwrap(), "{name}");
}
