//! A document as PDF: A4, in the language of its reader. The same document is the same file, to the byte, as long as this build and its font stay.

mod arabic;
mod direction;
mod language;
mod pages;

use domain::document::{DocumentIssued, DocumentKind, DocumentLine, DocumentTax};
use domain::order::event::Address;

use self::language::DocumentLanguage;
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
    let language = DocumentLanguage::of(document);
    let mut pages = Pages::new(language, footer)?;
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
    format!("{} {}", DocumentLanguage::of(document).name_of(document.kind), document.number)
}

/// The seller, and below the buyer.
fn parties(pages: &mut Pages, document: &DocumentIssued) {
    let seller = &document.seller;
    pages.paragraph(12.0, &seller.name);
    for line in seller.address.split(", ") {
        pages.paragraph(TEXT, line);
    }
    let tax_id = |id: &String| format!("{}: {id}", pages.language.tax_id);
    let (of_seller, of_buyer) = (tax_id(&seller.tax_id), document.buyer.tax_id.as_ref().map(tax_id));
    pages.paragraph(TEXT, &of_seller);
    pages.space(24.0);
    let buyer = &document.buyer;
    let address = buyer.address.as_ref();
    let name = buyer.name.as_deref().or(address.and_then(|it| it.name.as_deref()));
    let contact = buyer.email.clone().filter(|_| address.is_none());
    let texts = name.map(str::to_owned).into_iter().chain(address.into_iter().flat_map(postal_lines)).chain(contact);
    for line in texts.chain(of_buyer) {
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
    let language = pages.language;
    let mut say = |label: &str, what: &str| pages.paragraph(TEXT, &format!("{label}: {what}"));
    say(language.date_of_issue, &language.day(document.issued_on));
    if let Some(day) = document.supplied_on {
        say(language.date_of_supply, &language.day(day));
    }
    say(language.order, document.order_number.as_deref().unwrap_or(document.order_id.as_str()));
    if !document.invoices.is_empty() {
        say(language.corrects, &document.invoices.join(", "));
    }
    if let Some(reason) = &document.reason {
        say(language.reason, reason);
    }
    pages.paragraph(TEXT, &format!("{} {}", language.all_amounts_in, document.currency));
    pages.space(14.0);
}

fn lines(pages: &mut Pages, document: &DocumentIssued) {
    columns(pages);
    for line in &document.lines {
        let language = pages.language;
        let texts = [Some(description(line)), price(line, document, language)].into_iter().flatten();
        let texts: Vec<String> = texts.flat_map(|text| pages.wrapped(TEXT, &text, DESCRIPTION_WIDTH)).collect();
        let mut texts = texts.into_iter();
        if pages.turn_for(16.0) {
            columns(pages);
        }
        let money = |minor: i64| language.money(document.money(minor));
        pages.left(TEXT, &texts.next().unwrap_or_default());
        let unit = line.unit.map_or_else(String::new, |unit| format!(" {unit}"));
        pages.right(TEXT, QUANTITY, &format!("{}{unit}", language.number(&line.quantity)));
        pages.right(TEXT, NET, &money(line.net_minor));
        let mut rates = line.taxes.iter().map(|tax| language.percent(&tax.rate.to_string()));
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
    let language = pages.language;
    pages.left(SMALL, language.description);
    pages.right(SMALL, QUANTITY, language.quantity);
    pages.right(SMALL, NET, language.net);
    pages.right(SMALL, TAX, language.tax);
    pages.right(SMALL, pages::RIGHT, language.total);
    pages.next_line(SMALL);
    pages.rule();
}

fn description(line: &DocumentLine) -> String {
    let variant = line.variant.as_ref().map(|variant| format!(", {variant}"));
    let sku = line.sku.as_ref().map(|sku| format!(" ({sku})"));
    format!("{}{}{}", line.title, variant.unwrap_or_default(), sku.unwrap_or_default())
}

/// The price of a unit, and what is taken off.
fn price(line: &DocumentLine, document: &DocumentIssued, language: &DocumentLanguage) -> Option<String> {
    let price = line.unit_price.as_ref()?;
    let per = line.unit.map_or_else(String::new, |unit| format!(" / {unit}"));
    let discount = match line.discount_minor {
        0 => String::new(),
        minor => format!(", {} {}", language.discount, language.money(document.money(minor))),
    };
    Some(format!("{} {}{per}{discount}", language.unit_price, language.number(price)))
}

fn totals(pages: &mut Pages, document: &DocumentIssued) {
    let language = pages.language;
    let money = |minor: i64| language.money(document.money(minor));
    let tax = |it: &DocumentTax| {
        let (rate, of) = (language.percent(&it.rate.to_string()), money(it.net_minor));
        (format!("{} {rate} {} {of}", it.name, language.of), it.amount_minor)
    };
    let net = (language.net.to_owned(), document.net_minor);
    let rows = [net].into_iter().chain(document.taxes.iter().map(tax));
    pages.rule();
    for (name, minor) in rows {
        let mut names = pages.wrapped(TEXT, &name, NAME_WIDTH).into_iter().peekable();
        while let Some(name) = names.next() {
            pages.turn_for(16.0);
            pages.right(TEXT, TAX, name.trim_end());
            if names.peek().is_none() {
                pages.right(TEXT, pages::RIGHT, &money(minor));
            }
            pages.next_line(TEXT);
        }
    }
    let name = match document.kind {
        DocumentKind::Invoice => language.total,
        DocumentKind::CreditNote => language.credited,
    };
    pages.turn_for(20.0);
    pages.right(11.0, TAX, &format!("{name} {}", document.currency));
    pages.right(11.0, pages::RIGHT, &money(document.total_minor));
    pages.next_line(11.0);
}

#[cfg(test)]
mod tests;
