//! Writes an address as it stands on a parcel.

use messaging::PostalAddress;

use super::order::non_blank;

/// Countries where the city comes first and the postal code last. In most others it is the other way round.
const CITY_FIRST: [&str; 8] = ["AU", "BR", "CA", "GB", "IE", "IN", "NZ", "US"];

/// The lines of an address, without those that it has nothing for.
pub(super) fn address_lines(address: &PostalAddress) -> Vec<String> {
    let part = |text: &Option<String>| non_blank(text.as_deref());
    let (code, city, region) = (part(&address.postal_code), part(&address.city), part(&address.region));
    let place = if CITY_FIRST.contains(&address.country.as_str()) {
        let city_and_region = joined([city, region], ", ");
        [joined([city_and_region, code], " "), None]
    } else {
        [joined([code, city], " "), region]
    };
    let [place, region] = place;
    let lines = [part(&address.name), part(&address.company), non_blank(Some(&address.line1)), part(&address.line2)];
    let country = non_blank(Some(&address.country));
    lines.into_iter().chain([place, region, country]).flatten().collect()
}

fn joined(parts: [Option<String>; 2], separator: &str) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(country: &str, postal_code: &str, city: &str, region: Option<&str>) -> Vec<String> {
        address_lines(&PostalAddress {
            name: Some("Ada Lovelace".into()),
            company: Some(" ".into()),
            line1: "1 High St".into(),
            postal_code: Some(postal_code.into()),
            city: Some(city.into()),
            region: region.map(Into::into),
            country: country.into(),
            ..PostalAddress::default()
        })
    }

    #[test]
    fn the_postal_code_stands_where_the_country_has_it() {
        assert_eq!(lines("DE", "50667", "Köln", None), ["Ada Lovelace", "1 High St", "50667 Köln", "DE"]);
        assert_eq!(lines("US", "89501", "Reno", Some("NV")), ["Ada Lovelace", "1 High St", "Reno, NV 89501", "US"]);
        assert_eq!(lines("GB", "SW1Y 4JH", "London", None), ["Ada Lovelace", "1 High St", "London SW1Y 4JH", "GB"]);
        assert_eq!(
            lines("JP", "154-0023", "", Some("Tokyo")),
            ["Ada Lovelace", "1 High St", "154-0023", "Tokyo", "JP"]
        );
    }
}
