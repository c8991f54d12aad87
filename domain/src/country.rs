//! Countries, and what an address in each needs.

mod address_rules;

use serde::{Deserialize, Serialize};

pub(crate) use address_rules::AddressRules;

/// A country or territory: its ISO 3166-1 alpha-2 code in capitals.
///
/// Decoding checks the shape alone. Codes come and go, and events stay readable forever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = "^[A-Z]{2}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Country(String);

/// A text that is no country's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 3166-1 country code of two capitals, like DE")]
pub struct UnknownCountry;

impl Country {
    /// Parses a code that is assigned today.
    pub fn parse(code: &str) -> Result<Self, UnknownCountry> {
        if CODES.split_ascii_whitespace().any(|known| known == code) {
            Ok(Self(code.to_owned()))
        } else {
            Err(UnknownCountry)
        }
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Country {
    type Error = UnknownCountry;

    fn try_from(code: String) -> Result<Self, UnknownCountry> {
        let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code { Ok(Self(code)) } else { Err(UnknownCountry) }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0
    }
}

/// The officially assigned codes of ISO 3166-1, and XK: Kosovo has none there, and mail and customs use this one.
const CODES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY \
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_assigned_code_is_known_once_and_nothing_else_is() {
        let codes: BTreeSet<&str> = CODES.split_ascii_whitespace().collect();
        assert_eq!(CODES.split_ascii_whitespace().count(), codes.len());
        // ISO 3166-1 has 249.
        assert_eq!(codes.len(), 250);
        for code in codes {
            assert_eq!(Country::parse(code).unwrap().code(), code);
        }
        for text in ["", "D", "DEU", "de", "AN", "UK", "ZZ", " ", "DE "] {
            assert_eq!(Country::parse(text), Err(UnknownCountry), "{text:?}");
        }
    }

    #[test]
    fn a_code_that_is_not_assigned_any_more_is_still_read() {
        assert_eq!(serde_json::from_str::<Country>("\"AN\"").unwrap().code(), "AN");
        assert!(serde_json::from_str::<Country>("\"an\"").is_err());
    }
}
