//! What can be wrong with the settings.

use std::fmt;

/// Something that is wrong with the settings, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingMistake {
    /// The setting as it was named where it was given; the file itself when that cannot be read.
    pub setting: String,
    pub problem: String,
}

impl SettingMistake {
    pub(super) fn of_file(problem: String) -> Self {
        Self { setting: "settings file".to_owned(), problem }
    }
}

impl fmt::Display for SettingMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

/// Everything that is wrong with the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingMistakes(pub Vec<SettingMistake>);

impl std::error::Error for SettingMistakes {}

impl fmt::Display for SettingMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, mistake) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}
