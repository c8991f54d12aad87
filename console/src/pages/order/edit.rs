//! `/orders/{order_id}/edit`: changes lines of an order: first what that would do, then the form that has it done.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::order::event::LineQuantity;
use domain::order::{Order, PlacedOrder};
use problem::{Problem, ProblemType};
use serde::Deserialize;

use super::{forms, parse_id, path_of};
use crate::Console;
use crate::action::{ActionForm, Control, Field};
use crate::admission::Reader;
use crate::display::Text;
use crate::frame::Frame;
use crate::pages::Amount;

const PREVIEW: (&str, &str) = ("POST", "/orders/{order_id}/edits/preview");
const EDIT: (&str, &str) = ("POST", "/orders/{order_id}/edits");
/// How many lines can be added at once here.
const ADDED: usize = 3;

#[derive(Template)]
#[template(path = "edit.html")]
struct EditTemplate {
    frame: Frame,
    order_id: Text,
    order: String,
    /// What the edit would do, and the form that has it done.
    preview: Option<(EditPreview, ActionForm)>,
    /// `None`: the order takes no edits now.
    form: Option<ActionForm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EditPreview {
    version: i64,
    total_before: Amount,
    total: Amount,
    authorize: Amount,
    release: Amount,
    refund: Amount,
    lines: Vec<PreviewLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PreviewLine {
    line_number: Text,
    sku: Text,
    title: Text,
    quantity: Text,
    unit: Option<Text>,
    unit_price: Amount,
}

/// Whether the reader may edit orders here.
pub(super) fn may_edit(reader: &Reader) -> bool {
    reader.form_secret.is_some() && reader.may(PREVIEW.0, PREVIEW.1) && reader.may(EDIT.0, EDIT.1)
}

pub(crate) async fn show(
    State(console): State<Console>,
    reader: Reader,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let order_id = parse_id(path)?;
    reader.at("/orders/{order_id}")?;
    if !may_edit(&reader) {
        return Err(Problem::new(ProblemType::Forbidden, "the role may not edit orders, or this console only shows"));
    }
    let read = forms::read(&console, &reader, &order_id).await;
    let Some(Order::Placed(placed)) = read.map(|read| read.state) else {
        return Err(Problem::not_found("there is no such order"));
    };
    let order = path_of(&order_id);
    let page = format!("{order}/edit");
    let form = reader.form(PREVIEW, &[order_id.as_str()], "See what it would do", page.as_str());
    let form = form.filter(|_| forms::takes_edits(&placed)).map(|form| with_fields(form, &placed).finished());
    let form = form.map(|form| typed_again(form, &reader));
    let preview = form.as_ref().and_then(|form| {
        let preview = reader.preview.as_ref().filter(|preview| preview.is_of(&form.purpose()))?;
        let confirm = reader.form(EDIT, &[order_id.as_str()], "Edit the order", order.as_str())?.on_page(page.as_str());
        Some((preview, confirm))
    });
    let preview = match preview {
        Some((preview, confirm)) => {
            let answer: EditPreview = preview.answer()?;
            let confirm = preview.body().fold(confirm, |confirm, (name, value)| confirm.with(name, value));
            let mut confirm = confirm.at_version(answer.version).field(forms::reason()).finished();
            confirm.is_open = true;
            Some((answer, confirm))
        }
        None => None,
    };
    crate::page(&EditTemplate {
        frame: Frame::of(&reader, format!("Edit order {order_id}"), "/orders"),
        order_id: order_id.as_str().into(),
        order,
        preview,
        form,
    })
}

fn with_fields(form: ActionForm, order: &PlacedOrder) -> ActionForm {
    let form = form.explained("Nothing is stored yet. What is left empty stays as it is.");
    let is_short = order.content.lines.len() <= forms::MOST_LINES;
    let lines = order.numbered_lines().filter(|(_, line)| is_short && line.quantity > 0);
    let form = lines.fold(form, |form, (line_number, line)| {
        let at = format!("/lines/lineNumber={line_number}");
        let label = forms::line_label(order, &LineQuantity { line_number, quantity: line.quantity }, "now");
        let form = form
            .field(Field::number(format!("{at}/quantity:number"), label).hint("How many it shall have; 0 removes it"));
        line.taxes.iter().enumerate().fold(form, |form, (nth, tax)| {
            let at = format!("{at}/taxes/{nth}");
            let form =
                form.with(format!("{at}/name?"), tax.name.as_str()).with(format!("{at}/rate?"), tax.rate.to_string());
            let form = if tax.included { form.with(format!("{at}/included?:bool"), "true") } else { form };
            let label = format!("Line {line_number}, {} {}: amount", tax.name, tax.rate);
            form.field(
                Field::number(format!("{at}/amount"), label)
                    .hint("With another quantity it has to be said, and beside another tax of the line that is"),
            )
        })
    });
    let form = (0..ADDED).fold(form, |form, nth| {
        let (name, new) = (|member: &str| format!("/addedLines/{nth}/{member}"), nth + 1);
        form.field(Field::line(name("sku"), format!("SKU of new line {new}")))
            .field(Field::line(name("title"), format!("Title of new line {new}")))
            .field(Field::number(name("quantity:number"), format!("Quantity of new line {new}")))
            .field(Field::number(
                name("unitPrice"),
                format!("Unit price of new line {new} in {}", order.content.currency),
            ))
    });
    form.field(Field::line("/payment/method", "Pay a difference with").hint("Empty: as the order was paid"))
        .field(Field::line("/payment/token", "Its token").hint("What the provider knows the means of payment by"))
}

/// The form with what was typed into it before: it was previewed, or the edit was refused.
fn typed_again(mut form: ActionForm, reader: &Reader) -> ActionForm {
    let edit = form.purpose().trim_end_matches("/preview").to_owned();
    let previewed = reader.preview.as_ref().filter(|preview| preview.is_of(&form.purpose()));
    let refused = reader.refused.as_ref().filter(|refused| refused.is_of(&edit) && !refused.was_done);
    for field in form.fields.iter_mut().filter(|field| field.value.is_empty()) {
        let typed = previewed.map(|it| it.field(&field.name)).or(refused.map(|it| it.field(&field.name)));
        field.value = typed.unwrap_or_default().to_owned();
    }
    form.is_open = true;
    form
}
