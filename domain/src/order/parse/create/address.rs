//! Parses a postal address.

use crate::body::{BodyReader, JsonField};
use crate::country::{AddressRules, Country};
use crate::order::event::Address;

/// Of a name, a company, a line, a city or a region.
const MAX_LINE_CHARS: usize = 200;
const MAX_POSTAL_CODE_CHARS: usize = 20;
pub(super) const MAX_PHONE_CHARS: usize = 50;

/// Reads `{"name"?, "company"?, "line1", "line2"?, "postalCode"?, "city"?, "region"?, "country", "phone"?}`, with what the country's
/// addresses need.
pub(in crate::order::parse) fn read_address(reader: &mut BodyReader, field: &JsonField<'_>) -> Option<Box<Address>> {
    reader.member(field, |reader, fields| {
        let [name, company, line1, line2, postal_code, city, region, country, phone] = reader
            .object(fields, ["name", "company", "line1", "line2", "postalCode", "city", "region", "country", "phone"]);
        let name = reader.optional_line(&name, MAX_LINE_CHARS);
        let company = reader.optional_line(&company, MAX_LINE_CHARS);
        let line1 = reader.required(&line1, |r, field| r.line_up_to(field, MAX_LINE_CHARS));
        let line2 = reader.optional_line(&line2, MAX_LINE_CHARS);
        let given_code = reader.optional_line(&postal_code, MAX_POSTAL_CODE_CHARS);
        let given_city = reader.optional_line(&city, MAX_LINE_CHARS);
        let given_region = reader.optional_line(&region, MAX_LINE_CHARS);
        let country = reader.required(&country, |r, field| r.text(field, |code| Country::parse(&code)));
        let phone = reader.optional_line(&phone, MAX_PHONE_CHARS);

        if let Some(country) = &country {
            let rules = AddressRules::of(country);
            let needed = [
                (rules.postal_code, &postal_code, &given_code),
                (rules.city, &city, &given_city),
                (rules.region, &region, &given_region),
            ];
            for (is_needed, field, given) in needed {
                if is_needed && matches!(given, Some(None)) {
                    reader.violation_at(field, "required", format!("is required in {}", country.code()));
                }
            }
            if let Some(Some(code)) = &given_code
                && !rules.takes_postal_code(code, country)
            {
                let shape = rules.shape();
                let message =
                    format!("must be a postal code of {}, like {shape} (9: a digit, A: a letter)", country.code());
                reader.violation_at(&postal_code, "invalid", message);
            }
        }
        Some(Box::new(Address {
            name: name?,
            company: company?,
            line1: line1?,
            line2: line2?,
            postal_code: given_code?,
            city: given_city?,
            region: given_region?,
            country: country?,
            phone: phone?,
        }))
    })
}
