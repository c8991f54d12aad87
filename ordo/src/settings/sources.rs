//! Where settings come from: flags, the environment, the settings file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::mistakes::SettingMistake;
use crate::api::TOKEN_VARIABLE;

/// Read from the working directory if it is there.
const DEFAULT_FILE: &str = "ordo.toml";

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    /// A flag of the command line.
    Flag(&'static str),
    /// An environment variable.
    Environment,
    /// The settings file.
    File,
    /// The setting is not set.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag(flag) => flag,
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// All values that were given, not parsed yet.
#[derive(Debug, Default)]
pub struct RawSettings {
    flags: Vec<(&'static str, &'static str, String)>,
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, SettingsFileValue>,
    mistakes: Vec<SettingMistake>,
}

/// A value of the file, with its key as it is written there.
#[derive(Debug)]
struct SettingsFileValue {
    key: String,
    text: String,
}

impl RawSettings {
    /// The process's environment, and the file named by `--config`, by `ORDO_CONFIG`, or `ordo.toml` where that exists.
    #[must_use]
    pub(crate) fn of_process(config: Option<&Path>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        let sources = Self::default().environment(environment);
        let named = config.map(Path::to_owned).or_else(|| sources.environment.get("ORDO_CONFIG").map(PathBuf::from));
        match named {
            Some(path) => sources.file_at(&path),
            None if Path::new(DEFAULT_FILE).exists() => sources.file_at(Path::new(DEFAULT_FILE)),
            None => sources,
        }
    }

    /// These variables. An empty one counts as not set, as container files can often not leave one out.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables.into_iter().filter(|(_, value)| !value.is_empty()));
        self
    }

    /// A value from the command line, which goes before all others.
    #[must_use]
    pub fn flag(mut self, setting: &'static str, flag: &'static str, value: Option<String>) -> Self {
        self.flags.extend(value.map(|value| (setting, flag, value)));
        self
    }

    /// The settings file at `path`, which must exist.
    #[must_use]
    pub(crate) fn file_at(mut self, path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file(&text),
            Err(error) => {
                self.mistakes.push(SettingMistake::of_file(format!("{} cannot be read: {error}", path.display())));
                self
            }
        }
    }

    /// The text of a settings file.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        match text.parse::<toml::Table>() {
            Ok(table) => self.flatten("", &table),
            Err(error) => {
                // Not the error's own text: it quotes the line, which may hold a password.
                let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
                let line = before.matches('\n').count() + 1;
                self.mistakes.push(SettingMistake::of_file(format!("line {line}: {}", error.message())));
            }
        }
        self
    }

    fn flatten(&mut self, above: &str, table: &toml::Table) {
        for (key, value) in table {
            let key = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            let text = match value {
                Value::Table(table) => {
                    self.flatten(&key, table);
                    continue;
                }
                Value::Array(values) => {
                    values.iter().map(scalar).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
                }
                Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                    scalar(value)
                }
            };
            let setting = key.replace('.', "_");
            match text {
                None => {
                    self.mistakes
                        .push(SettingMistake::of_file(format!("`{key}` must be a text, a number or a list of them")));
                }
                Some(text) => {
                    if let Some(twice) = self.file.insert(setting, SettingsFileValue { key: key.clone(), text }) {
                        self.mistakes
                            .push(SettingMistake::of_file(format!("`{key}` and `{}` are the same setting", twice.key)));
                    }
                }
            }
        }
    }

    /// Takes the value for `setting` out of the first place that has one.
    pub(super) fn take(&mut self, setting: &str) -> Option<(String, SettingSource)> {
        // The value is removed from each source, so that only unknown settings are left at the end.
        let in_file = self.file.remove(&file_key(setting)).map(|value| (value.text, SettingSource::File));
        let variable = self.environment.remove(setting).map(|value| (value, SettingSource::Environment));
        let flag = self.flags.iter().position(|(name, ..)| *name == setting).map(|at| self.flags.remove(at));
        flag.map(|(_, flag, value)| (value, SettingSource::Flag(flag))).or(variable).or(in_file)
    }

    /// The values that no setting took, by the names they were given; and the mistakes that were found.
    pub(super) fn finish(self) -> (Vec<(String, SettingSource)>, Vec<SettingMistake>) {
        let is_setting =
            |name: &String| name.starts_with("ORDO_") && !["ORDO_CONFIG", TOKEN_VARIABLE].contains(&name.as_str());
        let variables = self.environment.into_keys().filter(is_setting).map(|name| (name, SettingSource::Environment));
        let keys = self.file.into_values().map(|value| (value.key, SettingSource::File));
        (variables.chain(keys).collect(), self.mistakes)
    }
}

/// A setting's name in the file, with its tables flattened.
pub(super) fn file_key(setting: &str) -> String {
    setting.strip_prefix("ORDO_").unwrap_or(setting).to_lowercase()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}
