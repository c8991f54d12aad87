//! Who sells, for invoices, and how orders are numbered.

use domain::document::Seller;
use domain::order_number::OrderNumberFormat;

use sagas::DocumentUrl;

use super::reader::SettingsReader;
use super::value_types::SettingType;

const NAME: &str = "ORDO_SELLER_NAME";
const ADDRESS: &str = "ORDO_SELLER_ADDRESS";
const TAX_ID: &str = "ORDO_SELLER_TAX_ID";

/// Who sells; `None`: no invoices are issued. An invoice without any of these would not be valid.
pub(super) fn read(table: &mut SettingsReader) -> Option<Seller> {
    let name = table.optional(
        NAME,
        &printed_text("Shop Ltd"),
        "Who sells, as invoices name it. With it invoices and credit notes are issued, by the role sagas",
    );
    let address = table.optional(
        ADDRESS,
        &printed_text("Street 1, 10115 Berlin, Germany"),
        "The seller's address on invoices, with commas between its lines",
    );
    let tax_id = table.optional(
        TAX_ID,
        &printed_text("DE123456789"),
        "The number under which the seller is known to the tax office, such as one for VAT",
    );
    match (name, address, tax_id) {
        (Some(name), Some(address), Some(tax_id)) => Some(Seller { name, address, tax_id }),
        (None, None, None) => None,
        (name, address, tax_id) => {
            let missing = [(NAME, name), (ADDRESS, address), (TAX_ID, tax_id)].into_iter().filter(|it| it.1.is_none());
            for (setting, _) in missing {
                let because = "an invoice needs all of ORDO_SELLER_NAME, ORDO_SELLER_ADDRESS and ORDO_SELLER_TAX_ID";
                table.needed(setting, &printed_text("Shop Ltd"), because);
            }
            None
        }
    }
}

/// How the series of order numbers are named; `None`: orders get no numbers.
pub(super) fn read_order_numbers(table: &mut SettingsReader) -> Option<OrderNumberFormat> {
    let allowed =
        "1 to 40 characters of A-Z a-z 0-9 . _ : - such as A-{year}; those of invoices (INV-…, CN-…) are taken";
    let format =
        SettingType::new(allowed, |format: &OrderNumberFormat| format.as_str().to_owned(), OrderNumberFormat::parse);
    table.optional(
        "ORDO_ORDER_NUMBERS",
        &format,
        "What the numbers of orders begin with: A-{year} makes A-2026-000001, by the year (UTC) in which an order comes. With it the role \
         sagas gives each new order a number",
    )
}

/// Where customers find their invoices and credit notes; `None`: mails link to none.
pub(super) fn read_document_url(table: &mut SettingsReader) -> Option<DocumentUrl> {
    let allowed =
        "an http:// or https:// address with {documentId} or {number} in its path, and {orderId} where that is needed";
    let url = SettingType::new(allowed, |url: &DocumentUrl| url.as_str().to_owned(), DocumentUrl::parse);
    table.optional(
        "ORDO_DOCUMENT_URL",
        &url,
        "The shop's page of an invoice or a credit note, such as https://shop.example/orders/{orderId}/documents/{documentId}. With it the \
         mails about shipments and refunds link to their documents",
    )
}

fn printed_text(example: &str) -> SettingType<String> {
    let allowed = format!("a text of 1 to 200 characters in one line, such as {example}");
    SettingType::new(allowed, String::clone, |text| {
        let fits = (1..=200).contains(&text.chars().count()) && !text.trim().is_empty();
        (fits && !text.chars().any(char::is_control)).then(|| text.trim().to_owned())
    })
}
