//! Parses what is said of the customer.

use super::address::MAX_PHONE_CHARS;
use crate::body::{BodyReader, JsonField};
use crate::email::EmailAddress;
use crate::ids::CustomerId;
use crate::locale::Locale;
use crate::order::event::CustomerDetails;

const MAX_NAME_CHARS: usize = 200;
const MAX_TAX_ID_CHARS: usize = 50;

/// The customer as a body has it.
#[derive(Default)]
pub(super) struct PostedCustomer {
    pub(super) id: Option<CustomerId>,
    pub(super) email: Option<EmailAddress>,
    /// `None`: nothing else was said.
    pub(super) details: Option<Box<CustomerDetails>>,
}

/// Reads `{"id"?, "email"?, "name"?, "phone"?, "locale"?, "taxId"?}`.
pub(super) fn read_customer(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<PostedCustomer> {
    reader.member(field, |reader, fields| {
        let [id, email, name, phone, locale, tax_id] =
            reader.object(fields, ["id", "email", "name", "phone", "locale", "taxId"]);
        let id = reader.optional(&id, |r, field| r.text(field, CustomerId::parse));
        let email = reader.optional(&email, |r, field| r.text(field, EmailAddress::parse));
        let name = reader.optional_line(&name, MAX_NAME_CHARS);
        let phone = reader.optional_line(&phone, MAX_PHONE_CHARS);
        let locale = reader.optional(&locale, |r, field| r.text(field, Locale::parse));
        let tax_id = reader.optional_line(&tax_id, MAX_TAX_ID_CHARS);
        let details = CustomerDetails { name: name?, phone: phone?, locale: locale?, tax_id: tax_id? };
        let details = (details != CustomerDetails::default()).then(|| Box::new(details));
        Some(PostedCustomer { id: id?, email: email?, details })
    })
}
