//! What an address needs in each country, at least.
//!
//! The facts are those of libaddressinput, which Chromium and Android fill in addresses by
//! (<https://github.com/google/libaddressinput>): which parts a country's addresses need, and the digits and letters of its postal
//! codes. Where the postal code tells the province (Italy, Korea, Spain), none is asked for.

use super::Country;

/// What an address needs. Every address needs its first line and its country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressRules {
    pub(crate) city: bool,
    pub(crate) region: bool,
    pub(crate) postal_code: bool,
    /// The shapes of its postal codes: 9 stands for a digit, A for a letter. Empty: any text will do.
    shapes: &'static [&'static str],
}

impl AddressRules {
    /// The rules of a country. One that has none of its own needs a city.
    pub(crate) fn of(country: &Country) -> Self {
        let known = RULES.binary_search_by_key(&country.code(), |(code, ..)| code);
        let (needs, shapes) = known.ok().and_then(|at| RULES.get(at)).map_or(("C", &[][..]), |it| (it.1, it.2));
        let needs = |part| needs.contains(part);
        Self { city: needs('C'), region: needs('R'), postal_code: needs('P'), shapes }
    }

    /// Whether a postal code has a shape that the country's have. Blanks, hyphens and small letters make no difference, and the
    /// country's code may stand before it.
    pub(crate) fn takes_postal_code(self, code: &str, country: &Country) -> bool {
        let plain: String =
            code.chars().filter(|it| !matches!(it, ' ' | '-')).map(|it| it.to_ascii_uppercase()).collect();
        let has_shape = |text: &str| self.shapes.iter().any(|shape| matches(text, shape));
        self.shapes.is_empty() || has_shape(&plain) || plain.strip_prefix(country.code()).is_some_and(has_shape)
    }

    /// An example of how the country's postal codes are written.
    pub(crate) fn shape(self) -> &'static str {
        self.shapes.first().copied().unwrap_or_default()
    }
}

fn matches(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'9' => byte.is_ascii_digit(),
        b'A' => byte.is_ascii_uppercase(),
        _ => byte == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// Countries by their codes: the parts that an address needs (C: city, R: region, P: postal code), and the shapes of postal codes.
#[rustfmt::skip]
const RULES: &[(&str, &str, &[&str])] = &[
    ("AE", "R",   &[]),
    ("AG", "",    &[]),
    ("AT", "CP",  &["9999"]),
    ("AU", "CRP", &["9999"]),
    ("BE", "CP",  &["9999"]),
    ("BG", "C",   &["9999"]),
    ("BR", "CRP", &["99999999"]),
    ("CA", "CRP", &["A9A9A9"]),
    ("CH", "CP",  &["9999"]),
    ("CN", "CRP", &["999999"]),
    ("CO", "R",   &["999999"]),
    ("CY", "C",   &["9999"]),
    ("CZ", "CP",  &["99999"]),
    ("DE", "CP",  &["99999"]),
    ("DK", "CP",  &["9999"]),
    ("DM", "",    &[]),
    ("EE", "CP",  &["99999"]),
    ("ES", "CP",  &["99999"]),
    ("FI", "CP",  &["99999"]),
    ("FR", "CP",  &["99999"]),
    ("GB", "CP",  &["A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA", "BFPO9", "BFPO99", "BFPO999", "BFPO9999", "AAA9AA"]),
    ("GD", "",    &[]),
    ("GI", "",    &[]),
    ("GR", "CP",  &["99999"]),
    ("HK", "R",   &[]),
    ("HR", "CP",  &["99999"]),
    ("HU", "CP",  &["9999"]),
    ("IN", "CRP", &["999999"]),
    ("IS", "C",   &["999"]),
    ("IT", "CP",  &["99999"]),
    ("JP", "RP",  &["9999999"]),
    ("KN", "",    &[]),
    ("KR", "CP",  &["99999"]),
    ("KY", "R",   &[]),
    ("LC", "",    &[]),
    ("LI", "CP",  &["9999"]),
    ("LT", "CP",  &["99999"]),
    ("LU", "CP",  &["9999"]),
    ("LV", "CP",  &["9999"]),
    ("MC", "C",   &["99999"]),
    ("MO", "",    &[]),
    ("MX", "CRP", &["99999"]),
    ("MY", "CP",  &["99999"]),
    ("NL", "CP",  &["9999AA"]),
    ("NO", "CP",  &["9999"]),
    ("NZ", "CP",  &["9999"]),
    ("PH", "CRP", &["9999"]),
    ("PL", "CP",  &["99999"]),
    ("PR", "CP",  &["99999", "999999999"]),
    ("PT", "CP",  &["9999999"]),
    ("RO", "CP",  &["999999"]),
    ("RU", "CP",  &["999999"]),
    ("SA", "CP",  &["99999", "999999999"]),
    ("SE", "CP",  &["99999"]),
    ("SG", "P",   &["999999"]),
    ("SI", "C",   &["9999"]),
    ("SK", "CP",  &["99999"]),
    ("TH", "CRP", &["99999"]),
    ("TR", "CP",  &["99999"]),
    ("TT", "",    &[]),
    ("TW", "CRP", &["999", "99999", "999999"]),
    ("UA", "CP",  &["99999"]),
    ("US", "CRP", &["99999", "999999999"]),
    ("ZA", "CP",  &["9999"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(country: &str, code: &str) -> bool {
        let country = Country::parse(country).unwrap();
        AddressRules::of(&country).takes_postal_code(code, &country)
    }

    #[test]
    fn the_rules_are_of_countries_that_there_are_in_order() {
        assert!(RULES.is_sorted_by(|one, next| one.0 < next.0));
        for (code, needs, shapes) in RULES {
            let rules = AddressRules::of(&Country::parse(code).unwrap());
            assert_eq!((rules.postal_code, rules.shapes), (needs.contains('P'), *shapes), "{code}");
            assert!(!rules.postal_code || !shapes.is_empty(), "{code}");
        }
    }

    #[test]
    fn the_page_about_orders_names_what_each_country_needs() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/orders.md")).unwrap();
        let listed = |is: &dyn Fn(&str) -> bool| -> String {
            let codes: Vec<&str> = RULES.iter().filter(|(_, needs, _)| is(needs)).map(|(code, ..)| *code).collect();
            codes.join(", ")
        };
        for row in [
            format!("| `city` | all countries but {} |", listed(&|needs| !needs.contains('C'))),
            format!("| `region` | {} |", listed(&|needs| needs.contains('R'))),
            format!("| `postalCode` | {} |", listed(&|needs| needs.contains('P'))),
        ] {
            assert!(page.lines().any(|line| line == row), "{row}");
        }
    }

    #[test]
    fn a_country_without_rules_of_its_own_needs_a_city() {
        let rules = AddressRules::of(&Country::parse("IE").unwrap());
        assert_eq!((rules.city, rules.region, rules.postal_code), (true, false, false));
        assert!(takes("IE", "A65 F4E2"));
    }

    #[test]
    fn postal_codes_are_taken_as_people_write_them() {
        for (country, code) in [
            ("DE", "50667"),
            ("GB", "SW1Y 4JH"),
            ("GB", "m1 1ae"),
            ("GB", "GIR 0AA"),
            ("GB", "BFPO 61"),
            ("US", "22162-1010"),
            ("US", "95014"),
            ("CA", "k1a 0b1"),
            ("NL", "1234AB"),
            ("PL", "00-940"),
            ("LV", "LV-1073"),
            ("SE", "SE-114 55"),
            ("JP", "154-0023"),
        ] {
            assert!(takes(country, code), "{country} {code}");
        }
        for (country, code) in [
            ("DE", "5066"),
            ("DE", "506677"),
            ("DE", "5o667"),
            ("GB", "SW1Y"),
            ("US", "9501"),
            ("CA", "95014"),
            ("NL", "1234"),
        ] {
            assert!(!takes(country, code), "{country} {code}");
        }
    }
}
