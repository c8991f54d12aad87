//! The name of a place that has stock.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InvalidId, check};

/// A place that has stock: a warehouse, a shop. Its name is 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
///
/// Units without a named location are at the default one, whose name is `default`. It sorts before all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("pattern" = "^[A-Za-z0-9._:-]{1,128}$")))]
#[serde(try_from = "String", into = "String")]
pub struct LocationId(Option<String>);

const DEFAULT: &str = "default";

impl LocationId {
    /// The location with this name.
    pub fn parse(name: impl Into<String>) -> Result<Self, InvalidId> {
        let name = name.into();
        check(&name)?;
        Ok(Self(Some(name).filter(|name| name != DEFAULT)))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT)
    }

    /// Whether it is the one of units without a named location.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for LocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for LocationId {
    type Error = InvalidId;

    fn try_from(name: String) -> Result<Self, InvalidId> {
        Self::parse(name)
    }
}

impl From<LocationId> for String {
    fn from(location: LocationId) -> Self {
        location.0.unwrap_or_else(|| DEFAULT.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_location_has_one_form_and_comes_first() {
        let named = LocationId::parse("default").unwrap();
        assert_eq!((&named, named.is_default(), named.as_str()), (&LocationId::default(), true, "default"));
        assert_eq!(serde_json::to_string(&named).unwrap(), r#""default""#);
        assert_eq!(serde_json::from_str::<LocationId>(r#""default""#).unwrap(), named);
        let berlin = LocationId::parse("berlin").unwrap();
        assert!(named < berlin && !berlin.is_default());
        assert_eq!(LocationId::parse("Halle 3"), Err(InvalidId::Character));
    }
}
