//! A document as PDF: A4, in English. The same document is the same file, to the byte, as long as this build and its font stay.

mod pages;

use domain::document::{DocumentIssued, DocumentKind, DocumentLine, DocumentTax};
use domain::order::event::Address;

use self::pages::Pages;
pub use self::pages::PdfError;

/// The columns end here, but for the first one, which begins at the margin.
const QUANTITY: f32 = 355.0;
const NET: f32 = 420.0;
const TAX: f32 = 478.0;
/// How wide the first column is.
const DESCRIPTION_WIDTH: f32 = 250.0;
/// The size of the usual text, in points.
const TEXT: f32 = 9.0;
const SMALL: f32 = 7.5;

/// How wide the names of taxes are, beside the amounts.
const NAME_WIDTH: f32 = TAX - pages::MARGIN;

/// Renders a document.
pub fn render(document: &DocumentIssued) -> Result<Vec<u8>, PdfError> {
    laid_out(document)?.finish(&title(document), document.issued_on)
}

fn laid_out(document: &DocumentIssued) -> Result<Pages, PdfError> {
    let footer = format!("{} · {}", document.seller.name, document.number);
    let mut pages = Pages::new(footer)?;
    parties(&mut pages, document);
    head(&mut pages, document);
    if !document.lines.is_empty() {
        lines(&mut pages, document);
    }
    totals(&mut pages, document);
    pages.write_footers();
    Ok(pages)
}

fn title(document: &DocumentIssued) -> String {
    let name = match document.kind {
        DocumentKind::Invoice => "Invoice",
        DocumentKind::CreditNote => "Credit note",
    };
    format!("{name} {}", document.number)
}

/// The seller, and below the buyer.
fn parties(pages: &mut Pages, document: &DocumentIssued) {
    let seller = &document.seller;
    pages.paragraph(12.0, &seller.name);
    for line in seller.address.split(", ") {
        pages.paragraph(TEXT, line);
    }
    pages.paragraph(TEXT, &format!("Tax ID: {}", seller.tax_id));
    pages.space(24.0);
    let buyer = &document.buyer;
    let address = buyer.address.as_ref();
    let name = buyer.name.as_deref().or(address.and_then(|it| it.name.as_deref()));
    let tax_id = buyer.tax_id.as_ref().map(|it| format!("Tax ID: {it}"));
    let contact = buyer.email.clone().filter(|_| address.is_none());
    let texts = name.map(str::to_owned).into_iter().chain(address.into_iter().flat_map(postal_lines)).chain(contact);
    for line in texts.chain(tax_id) {
        pages.paragraph(10.0, &line);
    }
}

fn postal_lines(address: &Address) -> Vec<String> {
    let place = [address.postal_code.as_deref(), address.city.as_deref()];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let lines = [
        address.company.clone(),
        Some(address.line1.clone()),
        address.line2.clone(),
        Some(place),
        address.region.clone(),
        Some(address.country.code().to_owned()),
    ];
    lines.into_iter().flatten().filter(|line| !line.is_empty()).collect()
}

fn head(pages: &mut Pages, document: &DocumentIssued) {
    pages.space(26.0);
    pages.paragraph(17.0, &title(document));
    pages.space(6.0);
    pages.paragraph(TEXT, &format!("Date of issue: {}", document.issued_on));
    if let Some(day) = document.supplied_on {
        pages.paragraph(TEXT, &format!("Date of supply: {day}"));
    }
    pages
        .paragraph(TEXT, &format!("Order: {}", document.order_number.as_deref().unwrap_or(document.order_id.as_str())));
    if !document.invoices.is_empty() {
        pages.paragraph(TEXT, &format!("Corrects: {}", document.invoices.join(", ")));
    }
    if let Some(reason) = &document.reason {
        pages.paragraph(TEXT, &format!("Reason: {reason}"));
    }
    pages.paragraph(TEXT, &format!("All amounts in {}", document.currency));
    pages.space(14.0);
}

fn lines(pages: &mut Pages, document: &DocumentIssued) {
    columns(pages);
    for line in &document.lines {
        let description = description(line);
        let mut texts = pages.wrapped(TEXT, &description, DESCRIPTION_WIDTH).into_iter();
        if pages.turn_for(16.0) {
            columns(pages);
        }
        let money = |minor: i64| document.money(minor).to_string();
        pages.left(TEXT, &texts.next().unwrap_or_default());
        let unit = line.unit.map_or_else(String::new, |unit| format!(" {unit}"));
        pages.right(TEXT, QUANTITY, &format!("{}{unit}", line.quantity));
        pages.right(TEXT, NET, &money(line.net_minor));
        let mut rates = line.taxes.iter().map(|tax| percent(&tax.rate.to_string()));
        pages.right(TEXT, TAX, &rates.next().unwrap_or_default());
        pages.right(TEXT, pages::RIGHT, &money(line.total_minor));
        pages.next_line(TEXT);
        // What else the line has to say, below.
        loop {
            let (text, rate) = (texts.next(), rates.next());
            if text.is_none() && rate.is_none() {
                break;
            }
            if pages.turn_for(16.0) {
                columns(pages);
            }
            pages.left(TEXT, &text.unwrap_or_default());
            pages.right(TEXT, TAX, &rate.unwrap_or_default());
            pages.next_line(TEXT);
        }
        pages.space(2.0);
    }
}

fn columns(pages: &mut Pages) {
    pages.left(SMALL, "Description");
    pages.right(SMALL, QUANTITY, "Quantity");
    pages.right(SMALL, NET, "Net");
    pages.right(SMALL, TAX, "Tax");
    pages.right(SMALL, pages::RIGHT, "Total");
    pages.next_line(SMALL);
    pages.rule();
}

fn description(line: &DocumentLine) -> String {
    let variant = line.variant.as_ref().map(|variant| format!(", {variant}"));
    let sku = line.sku.as_ref().map(|sku| format!(" ({sku})"));
    format!("{}{}{}", line.title, variant.unwrap_or_default(), sku.unwrap_or_default())
}

fn totals(pages: &mut Pages, document: &DocumentIssued) {
    let tax = |it: &DocumentTax| {
        let of = document.money(it.net_minor);
        (format!("{} {} of {of}", it.name, percent(&it.rate.to_string())), it.amount_minor)
    };
    let rows = [("Net".to_owned(), document.net_minor)].into_iter().chain(document.taxes.iter().map(tax));
    pages.rule();
    for (name, minor) in rows {
        let mut names = pages.wrapped(TEXT, &name, NAME_WIDTH).into_iter().peekable();
        while let Some(name) = names.next() {
            pages.turn_for(16.0);
            pages.right(TEXT, TAX, name.trim_end());
            if names.peek().is_none() {
                pages.right(TEXT, pages::RIGHT, &document.money(minor).to_string());
            }
            pages.next_line(TEXT);
        }
    }
    let name = match document.kind {
        DocumentKind::Invoice => "Total",
        DocumentKind::CreditNote => "Credited",
    };
    pages.turn_for(20.0);
    pages.right(11.0, TAX, &format!("{name} {}", document.currency));
    pages.right(11.0, pages::RIGHT, &document.money(document.total_minor).to_string());
    pages.next_line(11.0);
}

/// A rate such as `0.19` as `19 %`.
fn percent(rate: &str) -> String {
    let (whole, decimals) = rate.split_once('.').unwrap_or((rate, ""));
    let decimals = format!("{decimals:0<2}");
    let (hundredths, rest) = decimals.split_at_checked(2).unwrap_or((&decimals, ""));
    let number = format!("{whole}{hundredths}");
    let number = match number.trim_start_matches('0') {
        "" => "0",
        number => number,
    };
    match rest.trim_end_matches('0') {
        "" => format!("{number} %"),
        rest => format!("{number}.{rest} %"),
    }
}

#[cfg(test)]
mod tests;
