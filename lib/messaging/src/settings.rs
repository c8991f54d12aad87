//! Checks settings against their bounds, and reports all errors at once.

use std::fmt;

/// A setting outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}, must be {allowed}")]
pub struct SettingError {
    /// The field of the settings struct.
    pub setting: &'static str,
    pub value: String,
    pub allowed: String,
}

/// All invalid settings of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings(pub Vec<SettingError>);

impl std::error::Error for InvalidSettings {}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, mistake) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

/// Collects the invalid settings of one component.
#[derive(Debug, Default)]
pub struct SettingsValidator(Vec<SettingError>);

impl SettingsValidator {
    pub fn within<T>(&mut self, setting: &'static str, value: T, range: std::ops::RangeInclusive<T>)
    where
        T: Copy + PartialOrd + fmt::Debug,
    {
        let (least, most) = range.into_inner();
        let allowed = format!("between {least:?} and {most:?}");
        let holds = least <= value && value <= most;
        self.require(setting, format!("{value:?}"), holds, allowed);
    }

    /// Reports the setting unless the condition holds. `allowed`: the condition in words.
    pub fn require(&mut self, setting: &'static str, value: String, holds: bool, allowed: impl Into<String>) {
        if !holds {
            self.0.push(SettingError { setting, value, allowed: allowed.into() });
        }
    }

    /// An error if any setting is invalid.
    pub fn done(self) -> Result<(), InvalidSettings> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidSettings(self.0)) }
    }
}
