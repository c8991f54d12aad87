//! Settings with bounds: every mistake is named, and all of them at once.

use std::fmt;

/// A setting outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}, must be {allowed}")]
pub struct SettingError {
    /// Its name, as the settings struct has it.
    pub setting: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// Every setting of one component that is outside its bounds.
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

/// Collects the mistakes of one component.
#[derive(Debug, Default)]
pub struct Checks(Vec<SettingError>);

impl Checks {
    /// The setting must lie in the range.
    pub fn within<T>(&mut self, setting: &'static str, value: T, range: std::ops::RangeInclusive<T>)
    where
        T: Copy + PartialOrd + fmt::Debug,
    {
        let (least, most) = range.into_inner();
        let allowed = format!("between {least:?} and {most:?}");
        let holds = least <= value && value <= most;
        self.require(setting, format!("{value:?}"), holds, allowed);
    }

    /// The setting must fulfil a condition; `allowed` says which.
    pub fn require(&mut self, setting: &'static str, value: String, holds: bool, allowed: impl Into<String>) {
        if !holds {
            self.0.push(SettingError { setting, value, allowed: allowed.into() });
        }
    }

    /// All mistakes, if there were any.
    pub fn done(self) -> Result<(), InvalidSettings> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidSettings(self.0)) }
    }
}
