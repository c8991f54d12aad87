//! Goes through the table once and keeps what was found, and everything that was wrong.

use std::fmt;

use super::kinds::Kind;
use super::sources::file_key;
use super::{Settings, Sources};

/// The settings, and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// What the platform runs by.
    pub settings: Settings,
    /// One line per setting, in the table's order.
    pub entries: Vec<Entry>,
}

impl Loaded {
    /// Where a setting's value came from, for people.
    #[must_use]
    pub fn source_of(&self, name: &str) -> Source {
        self.entries.iter().find(|entry| entry.name == name).map_or(Source::Default, |entry| entry.source)
    }
}

/// One setting as it took effect.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name in the environment.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Completes "must be …".
    pub allowed: String,
    /// What holds without it being set, if anything does.
    pub default: Option<String>,
    /// What holds now; secrets hidden.
    pub value: Option<String>,
    /// Who said so.
    pub source: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag(&'static str),
    /// An environment variable.
    Environment,
    /// The settings file.
    File,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag(flag) => flag,
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// One thing that is wrong, in words that say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting as it was named where it was given; the file itself when that cannot be read.
    pub setting: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Mistake {
    pub(super) fn of_file(problem: String) -> Self {
        Self { setting: "settings file".to_owned(), problem }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

/// Everything that is wrong with the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, mistake) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

pub(super) struct Reading {
    sources: Sources,
    entries: Vec<Entry>,
    mistakes: Vec<Mistake>,
}

impl Reading {
    pub(super) fn of(sources: Sources) -> Self {
        Self { sources, entries: Vec::new(), mistakes: Vec::new() }
    }

    /// A setting that always has a value.
    pub(super) fn value<T>(&mut self, name: &'static str, default: T, kind: &Kind<T>, meaning: &'static str) -> T {
        let default_text = (kind.show)(&default);
        self.read(name, Some(default_text), kind, meaning).unwrap_or(default)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(&mut self, name: &'static str, kind: &Kind<T>, meaning: &'static str) -> Option<T> {
        self.read(name, None, kind, meaning)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        default: Option<String>,
        kind: &Kind<T>,
        meaning: &'static str,
    ) -> Option<T> {
        let given = self.sources.take(name);
        let parsed = given.as_ref().and_then(|(text, _)| (kind.parse)(text));
        if let (None, Some((text, source))) = (&parsed, &given) {
            self.mistake(name, *source, format!("{text:?} must be {}", kind.allowed));
        }
        let (value, source) = given.map_or((default.clone(), Source::Default), |(text, source)| (Some(text), source));
        self.entries.push(Entry { name, meaning, allowed: kind.allowed.clone(), default, value, source });
        parsed
    }

    /// A secret: given itself or by the file `…_FILE` names, and never shown, right or wrong.
    pub(super) fn secret<T>(&mut self, name: &'static str, kind: &Kind<T>, meaning: &'static str) -> Option<T> {
        let itself = self.sources.take(name);
        let by_file = self.sources.take(&format!("{name}_FILE"));
        let given = match (itself, by_file) {
            (Some((_, source)), Some((_, same))) if source == same => {
                self.mistake(name, source, format!("is given twice, here and by {name}_FILE; keep one"));
                None
            }
            // The environment goes before the settings file, whichever way it says it.
            (Some((_, Source::File)) | None, Some((path, source))) => self.contents(name, &path, source),
            (itself, _) => itself,
        };
        let parsed = given.as_ref().and_then(|(text, _)| (kind.parse)(text));
        if let (None, Some((_, source))) = (&parsed, &given) {
            self.mistake(name, *source, format!("must be {} (not shown: it is a secret)", kind.allowed));
        }
        self.entries.push(Entry {
            name,
            meaning,
            allowed: kind.allowed.clone(),
            default: None,
            value: parsed.as_ref().map(kind.show),
            source: given.map_or(Source::Default, |(_, source)| source),
        });
        parsed
    }

    /// A setting that is needed because of another one, and was not given. What is wrong with one that was given is said already.
    pub(super) fn needed<T>(&mut self, name: &str, kind: &Kind<T>, because: &str) {
        let said = |mistake: &Mistake| mistake.setting.contains(name) || mistake.setting.contains(&file_key(name));
        if !self.mistakes.iter().any(said) {
            let problem = format!("is needed, since {because}: {}", kind.allowed);
            self.mistake(name, Source::Default, problem);
        }
    }

    /// A setting whose value is one of those that there are, and not to be had all the same.
    pub(super) fn refuse(&mut self, name: &str, problem: &str) {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let source = entry.map_or(Source::Default, |entry| entry.source);
        self.mistake(name, source, problem.to_owned());
    }

    /// The secret in the file at `path`, without the line break that editors leave at its end.
    fn contents(&mut self, name: &str, path: &str, source: Source) -> Option<(String, Source)> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some((text.trim_end().to_owned(), source)),
            Err(error) => {
                self.mistake(&format!("{name}_FILE"), source, format!("{path:?} cannot be read: {error}"));
                None
            }
        }
    }

    /// The settings if nothing was wrong; what nobody knows is wrong too.
    pub(super) fn finish(mut self, settings: Settings) -> Result<Loaded, Mistakes> {
        let (unknown, mut mistakes) = self.sources.finish();
        mistakes.append(&mut self.mistakes);
        mistakes.extend(unknown.into_iter().map(|(name, source)| unknown_setting(name, source, &self.entries)));
        if mistakes.is_empty() { Ok(Loaded { settings, entries: self.entries }) } else { Err(Mistakes(mistakes)) }
    }

    fn mistake(&mut self, name: &str, source: Source, problem: String) {
        let setting = match source {
            Source::Flag(flag) => flag.to_owned(),
            Source::File => format!("`{}` in the settings file", file_key(name)),
            Source::Environment | Source::Default => name.to_owned(),
        };
        self.mistakes.push(Mistake { setting, problem });
    }
}

fn unknown_setting(name: String, source: Source, known: &[Entry]) -> Mistake {
    // Beyond a third of the letters it is another word, not a slip.
    let likeness = |entry: &&Entry| {
        strsim::normalized_damerau_levenshtein(&file_key(&name.replace('.', "_")), &file_key(entry.name))
    };
    let closest = known
        .iter()
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .filter(|entry| likeness(entry) > 0.66)
        .map(|entry| if source == Source::File { file_key(entry.name) } else { entry.name.to_owned() });
    let setting = if source == Source::File { format!("`{name}` in the settings file") } else { name };
    let problem = match closest {
        Some(closest) => format!("there is no such setting; did you mean {closest}?"),
        None => "there is no such setting; `ordo config list` shows those there are".to_owned(),
    };
    Mistake { setting, problem }
}
