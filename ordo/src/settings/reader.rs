//! Reads each setting once. Keeps its value and source, and every mistake.

use super::mistakes::{SettingMistake, SettingMistakes};
use super::sources::{RawSettings, SettingSource, file_key};
use super::value_types::SettingType;

/// A setting with the value that took effect.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    /// Its name in the environment.
    pub name: &'static str,
    pub meaning: &'static str,
    /// Completes "must be …".
    pub allowed: String,
    pub default: Option<String>,
    /// The value that took effect; secrets are hidden.
    pub value: Option<String>,
    pub source: SettingSource,
}

/// Reads settings one by one, and collects what is wrong with them.
pub(super) struct SettingsReader {
    sources: RawSettings,
    entries: Vec<EffectiveSetting>,
    mistakes: Vec<SettingMistake>,
}

impl SettingsReader {
    pub(super) fn of(sources: RawSettings) -> Self {
        Self { sources, entries: Vec::new(), mistakes: Vec::new() }
    }

    /// A setting that always has a value.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: T,
        value_type: &SettingType<T>,
        meaning: &'static str,
    ) -> T {
        let default_text = (value_type.show)(&default);
        self.read(name, Some(default_text), value_type, meaning).unwrap_or(default)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        value_type: &SettingType<T>,
        meaning: &'static str,
    ) -> Option<T> {
        self.read(name, None, value_type, meaning)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        default: Option<String>,
        value_type: &SettingType<T>,
        meaning: &'static str,
    ) -> Option<T> {
        let given = self.sources.take(name);
        let parsed = given.as_ref().and_then(|(text, _)| (value_type.parse)(text));
        if let (None, Some((text, source))) = (&parsed, &given) {
            self.mistake(name, *source, format!("{text:?} must be {}", value_type.allowed));
        }
        let (value, source) =
            given.map_or((default.clone(), SettingSource::Default), |(text, source)| (Some(text), source));
        self.entries.push(EffectiveSetting {
            name,
            meaning,
            allowed: value_type.allowed.clone(),
            default,
            value,
            source,
        });
        parsed
    }

    /// A secret: given itself or by the file `…_FILE` names, and never shown, right or wrong.
    pub(super) fn secret<T>(
        &mut self,
        name: &'static str,
        value_type: &SettingType<T>,
        meaning: &'static str,
    ) -> Option<T> {
        let inline = self.sources.take(name);
        let in_file = self.sources.take(&format!("{name}_FILE"));
        let given = match (inline, in_file) {
            (Some((_, source)), Some((_, same))) if source == same => {
                self.mistake(name, source, format!("is given twice, here and by {name}_FILE; keep one"));
                None
            }
            // The environment goes before the settings file, also where only its `…_FILE` is set.
            (Some((_, SettingSource::File)) | None, Some((path, source))) => self.contents(name, &path, source),
            (inline, _) => inline,
        };
        let parsed = given.as_ref().and_then(|(text, _)| (value_type.parse)(text));
        if let (None, Some((_, source))) = (&parsed, &given) {
            self.mistake(name, *source, format!("must be {} (not shown: it is a secret)", value_type.allowed));
        }
        self.entries.push(EffectiveSetting {
            name,
            meaning,
            allowed: value_type.allowed.clone(),
            default: None,
            value: parsed.as_ref().map(value_type.show),
            source: given.map_or(SettingSource::Default, |(_, source)| source),
        });
        parsed
    }

    /// Notes that a setting is missing that another one needs, unless a mistake in it was noted already.
    pub(super) fn needed<T>(&mut self, name: &str, value_type: &SettingType<T>, because: &str) {
        let reported =
            |mistake: &SettingMistake| mistake.setting.contains(name) || mistake.setting.contains(&file_key(name));
        if !self.mistakes.iter().any(reported) {
            let problem = format!("is needed, since {because}: {}", value_type.allowed);
            self.mistake(name, SettingSource::Default, problem);
        }
    }

    /// Notes that the value of a setting cannot be used, although it could be parsed.
    pub(super) fn refuse(&mut self, name: &str, problem: &str) {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let source = entry.map_or(SettingSource::Default, |entry| entry.source);
        self.mistake(name, source, problem.to_owned());
    }

    /// The secret in the file at `path`, without the line break that editors leave at its end.
    fn contents(&mut self, name: &str, path: &str, source: SettingSource) -> Option<(String, SettingSource)> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some((text.trim_end().to_owned(), source)),
            Err(error) => {
                self.mistake(&format!("{name}_FILE"), source, format!("{path:?} cannot be read: {error}"));
                None
            }
        }
    }

    /// One entry per setting, in the order they were read, if nothing was wrong. Unknown settings are mistakes.
    pub(super) fn finish(mut self) -> Result<Vec<EffectiveSetting>, SettingMistakes> {
        let (unknown, mut mistakes) = self.sources.finish();
        mistakes.append(&mut self.mistakes);
        mistakes.extend(unknown.into_iter().map(|(name, source)| unknown_setting(name, source, &self.entries)));
        if mistakes.is_empty() { Ok(self.entries) } else { Err(SettingMistakes(mistakes)) }
    }

    fn mistake(&mut self, name: &str, source: SettingSource, problem: String) {
        let setting = match source {
            SettingSource::Flag(flag) => flag.to_owned(),
            SettingSource::File => format!("`{}` in the settings file", file_key(name)),
            SettingSource::Environment | SettingSource::Default => name.to_owned(),
        };
        self.mistakes.push(SettingMistake { setting, problem });
    }
}

fn unknown_setting(name: String, source: SettingSource, known: &[EffectiveSetting]) -> SettingMistake {
    // A name that differs in more than a third of its letters is no typing error.
    let likeness = |entry: &&EffectiveSetting| {
        strsim::normalized_damerau_levenshtein(&file_key(&name.replace('.', "_")), &file_key(entry.name))
    };
    let closest = known
        .iter()
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .filter(|entry| likeness(entry) > 0.66)
        .map(|entry| if source == SettingSource::File { file_key(entry.name) } else { entry.name.to_owned() });
    let setting = if source == SettingSource::File { format!("`{name}` in the settings file") } else { name };
    let problem = match closest {
        Some(closest) => format!("there is no such setting; did you mean {closest}?"),
        None => "there is no such setting; `ordo config list` shows those there are".to_owned(),
    };
    SettingMistake { setting, problem }
}
