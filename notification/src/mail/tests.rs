use messaging::{
    NotificationTemplate, OrderDetails, OrderedLine, ParcelTracking, PostalAddress, RejectionCause, ShipmentTracking,
    TotalParts,
};
use uuid::Uuid;

use self::requests::{document, edit, requests};
use super::*;

mod requests;

/// The mail for its customer.
fn content(request: &NotificationRequested) -> Result<MailContent, askama::Error> {
    super::content(request, request.locale.as_deref())
}

#[test]
fn each_mail_is_the_golden_mail_in_each_language() {
    for locale in locale::LOCALES {
        for (name, request) in requests() {
            let request = NotificationRequested { locale: Some(locale.tag.to_owned()), ..request };

            let content = content(&request).unwrap();

            let MailContent { language, subject, text, html } = &content;
            assert_eq!(*language, locale.tag);
            assert!(subject.contains(&request.order_id) && !subject.contains('\n'), "{subject}");
            // So a golden file has the subject, too.
            assert!(
                html.contains(&format!("<html lang=\"{language}\">"))
                    && html.contains(&format!("<title>{subject}</title>"))
            );
            golden(&format!("{language}/{name}.txt"), text);
            golden(&format!("{language}/{name}.html"), html);
        }
    }
}

#[test]
fn an_order_with_a_number_is_called_by_that_and_not_by_its_id() {
    for locale in locale::LOCALES {
        for (_, request) in requests() {
            let order_number = Some("A-2026-000042".to_owned());
            let request = NotificationRequested { locale: Some(locale.tag.to_owned()), order_number, ..request };
            let MailContent { subject, text, html, .. } = content(&request).unwrap();
            for part in [&subject, &text, &html] {
                assert!(part.contains("A-2026-000042") && !part.contains(&request.order_id), "{part}");
            }
        }
    }
}

#[test]
fn a_mail_says_nothing_of_what_it_was_not_told() {
    for (template, locale) in every_mail() {
        let bare = NotificationRequested { locale: Some(locale.to_owned()), ..request(template) };
        let blank = NotificationRequested {
            reason: Some(" ".into()),
            shipment: Some(ShipmentTracking::of(vec![parcel(Some(""), Some("\n")), parcel(None, None)])),
            refund_amount: Some(String::new()),
            ..bare.clone()
        };

        let bare = content(&bare).unwrap();

        golden(&format!("{locale}/{}_bare.txt", template.as_str().replace('-', "_")), &bare.text);
        assert_eq!(content(&blank).unwrap(), bare);
        for unsaid in ["Reason:", "Carrier:", "Tracking", "Grund:", "Versanddienst", "Sendungsnummer", "None", "\n\n\n"]
        {
            assert!(!bare.text.contains(unsaid) && !bare.html.contains(unsaid), "{unsaid}: {}", bare.text);
        }
    }
}

#[test]
fn a_tracking_number_is_shown_without_its_carrier_and_the_other_way_round() {
    let shown = |carrier: Option<&str>, tracking: Option<&str>| {
        let shipment = ShipmentTracking::of(vec![parcel(carrier, tracking)]);
        let request = NotificationRequested { shipment: Some(shipment), ..request(NotificationTemplate::OrderShipped) };
        let text = content(&request).unwrap().text;
        text.lines().filter(|line| line.contains(": ") && !line.starts_with("Order")).map(str::to_owned).collect()
    };
    let lines: [Vec<String>; 3] = [shown(Some("DHL"), Some("7")), shown(Some("DHL"), None), shown(None, Some("7"))];

    assert_eq!(lines, [vec!["Carrier: DHL", "Tracking number: 7"], vec!["Carrier: DHL"], vec!["Tracking number: 7"]]);
}

#[test]
fn a_shipment_without_lines_is_the_whole_order() {
    let request = NotificationRequested { lines: vec![], ..request(NotificationTemplate::OrderShipped) };

    let content = content(&request).unwrap();

    assert_eq!(content.text, "Your order demo-1759035874968 has shipped.\n\nOrder number: demo-1759035874968");
    assert!(content.html.contains("is on its way.") && !content.html.contains("<th"), "{}", content.html);
}

#[test]
fn lines_that_were_left_out_are_counted() {
    for template in [
        NotificationTemplate::OrderConfirmed,
        NotificationTemplate::OrderRejected,
        NotificationTemplate::OrderCancelled,
        NotificationTemplate::OrderShipped,
    ] {
        let content = content(&NotificationRequested { omitted_lines: 7, ..request(template) }).unwrap();

        assert!(content.text.contains("  and 7 more lines") && content.html.contains("and 7 more lines"));
    }
}

#[test]
fn markup_in_a_value_is_escaped() {
    for template in every_mail() {
        let content = content(&everything_is(template, "<script>alert('x')</script> & \"Co\"")).unwrap();

        assert!(!content.html.contains("<script>"));
        assert!(content.html.contains("&#60;script&#62;"), "{}", content.html);
        assert!(content.text.contains("<script>alert('x')</script> & \"Co\""), "text is text");
    }
}

#[test]
fn no_value_can_start_a_line_of_its_own() {
    for template in every_mail() {
        let content = content(&everything_is(template, "o-1\r\nBcc: eve@example.com")).unwrap();

        assert!(content.subject.contains("o-1  Bcc: eve@example.com"), "{}", content.subject);
        assert!(!content.subject.contains(char::is_control), "{}", content.subject);
        for body in [&content.text, &content.html] {
            assert!(!body.lines().any(|line| line.starts_with("Bcc")), "{body}");
        }
    }
}

#[test]
fn what_breaks_a_line_or_turns_the_text_around_becomes_a_space() {
    let breaking = ['\0', '\t', '\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    for c in breaking.into_iter().chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
        assert_eq!(one_line(&format!("Mug{c}Total: 0"), 100), "Mug Total: 0", "{c:?}");
    }
}

#[test]
fn text_of_any_script_stays_as_it_is() {
    for text in ["Kopfhörer – „Größe L“", "כוס קפה", "قهوة", "コーヒー", "👩\u{200d}🍳"] {
        assert_eq!(one_line(text, 100), text);
    }
    assert_eq!(one_line("äöü", 2), "äö");
}

/// Everything that a mail can show of an order beside its lines.
fn whole() -> OrderDetails {
    let some = |text: &str| Some(text.to_owned());
    let shipping_address = PostalAddress {
        name: some("Jörg Müller"),
        company: some("Müller GmbH"),
        line1: "Hauptstr. 5".into(),
        line2: some("2. Stock"),
        postal_code: some("50667"),
        city: some("Köln"),
        region: None,
        country: "DE".into(),
    };
    let billing_address = PostalAddress {
        name: some("A. Müller"),
        line1: "1 Main St".into(),
        postal_code: some("89501"),
        city: some("Reno"),
        region: some("NV"),
        country: "US".into(),
        ..PostalAddress::default()
    };
    OrderDetails {
        customer_name: None,
        totals: Some(TotalParts {
            items: "2629.99".into(),
            discounts: some("30.00"),
            shipping: some("20.00"),
            taxes: some("10.00"),
            included_taxes: some("3.62"),
        }),
        shipping_method: some("DHL Paket"),
        estimated_delivery: some("2026-12-03"),
        shipping_address: Some(shipping_address),
        billing_address: Some(billing_address),
        edit: None,
        document: None,
    }
}

#[test]
fn the_bill_is_not_said_to_go_where_the_goods_go_as_well() {
    let order = OrderDetails { billing_address: whole().shipping_address, ..whole() };
    let text = content(&NotificationRequested { details: order, ..request(NotificationTemplate::OrderConfirmed) })
        .unwrap()
        .text;
    assert!(text.contains("Shipping address:") && !text.contains("Billing address:"), "{text}");
}

/// Each mail in each language.
fn every_mail() -> impl Iterator<Item = (NotificationTemplate, &'static str)> {
    NotificationTemplate::ALL.into_iter().flat_map(|template| locale::LOCALES.iter().map(move |it| (template, it.tag)))
}

fn everything_is((template, locale): (NotificationTemplate, &str), text: &str) -> NotificationRequested {
    let line = OrderedLine { sku: text.into(), title: text.into(), ..request(template).lines.remove(0) };
    NotificationRequested {
        locale: Some(locale.into()),
        order_id: text.into(),
        lines: vec![line],
        rejection: Some(RejectionCause { code: "outOfStock".into(), skus: vec![text.into()] }),
        reason: Some(text.into()),
        shipment: Some(ShipmentTracking::of(vec![parcel(Some(text), Some(text))])),
        refund_amount: Some(text.into()),
        details: OrderDetails {
            customer_name: Some(text.into()),
            shipping_method: Some(text.into()),
            shipping_address: Some(PostalAddress {
                name: Some(text.into()),
                line1: text.into(),
                city: Some(text.into()),
                country: text.into(),
                ..PostalAddress::default()
            }),
            edit: Some(edit(text)),
            document: document(text),
            ..whole()
        },
        ..request(template)
    }
}

fn parcel(carrier: Option<&str>, tracking: Option<&str>) -> ParcelTracking {
    ParcelTracking { carrier: carrier.map(Into::into), tracking: tracking.map(Into::into) }
}

fn request(template: NotificationTemplate) -> NotificationRequested {
    let line = |sku: &str, title: &str, quantity, unit_price: &str, line_total: &str| OrderedLine {
        sku: sku.into(),
        title: title.into(),
        quantity,
        measure: None,
        unit_price: unit_price.into(),
        line_total: line_total.into(),
        waiting: None,
    };
    NotificationRequested {
        notification_id: Uuid::from_u128(1),
        attempt: 1,
        template,
        recipient: None,
        order_id: "demo-1759035874968".into(),
        order_number: None,
        locale: None,
        customer_id: Some("customer-42".into()),
        currency: "USD".into(),
        total_amount: "2629.99".into(),
        lines: vec![
            line("sku-123", "Wireless Headphones", 1, "129.99", "129.99"),
            line("sku-7", "Standing Desk, Oak", 2, "1250.00", "2500.00"),
        ],
        omitted_lines: 0,
        details: OrderDetails::default(),
        reason: None,
        rejection: None,
        shipment: None,
        refund_amount: None,
        paid_elsewhere: false,
        retry_failed: false,
        withdraw: false,
    }
}

/// Compares with the golden file; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, rendered: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, rendered).unwrap();
    }
    assert_eq!(rendered, std::fs::read_to_string(&path).unwrap(), "{name}");
}
