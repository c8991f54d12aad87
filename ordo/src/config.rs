//! `ordo config`: the settings with their sources, or all mistakes in them.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use serde_json::json;

use crate::output;
use crate::settings::{EffectiveSetting, RawSettings, SettingMistakes, Settings, SettingsWithSources};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with the settings, or which hold and why
    Check {
        /// Say it as JSON
        #[arg(long)]
        json: bool,
    },
    /// List every setting there is, with its default and its bounds
    List,
}

/// `ordo config check`.
pub(crate) fn check(loaded: Result<SettingsWithSources, SettingMistakes>, json: bool) -> anyhow::Result<ExitCode> {
    let (text, code) = match (loaded, json) {
        (Ok(loaded), false) => (table(&loaded.entries), ExitCode::SUCCESS),
        (Ok(loaded), true) => (settings_json(&loaded.entries), ExitCode::SUCCESS),
        (Err(mistakes), false) => (mistakes.to_string(), ExitCode::FAILURE),
        (Err(mistakes), true) => (mistakes_json(&mistakes), ExitCode::FAILURE),
    };
    output::line(&text)?;
    Ok(code)
}

/// `ordo config list`: every setting, for people on a terminal; elsewhere as a Markdown table for the documentation.
pub(crate) fn list() -> anyhow::Result<()> {
    let loaded = Settings::load(RawSettings::default())?;
    let text = if io::stdout().is_terminal() { for_people(&loaded.entries) } else { markdown(&loaded.entries) };
    Ok(output::line(&text)?)
}

/// One paragraph for each setting, which is readable on narrow terminals.
fn for_people(entries: &[EffectiveSetting]) -> String {
    let paragraph = |entry: &EffectiveSetting| {
        let default = entry.default.as_deref().unwrap_or("not set");
        format!("{} [default: {default}]\n    {}\n    Must be {}", entry.name, entry.meaning, entry.allowed)
    };
    entries.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// Name, value and source of each setting.
fn table(entries: &[EffectiveSetting]) -> String {
    let value = |entry: &EffectiveSetting| entry.value.clone().unwrap_or_else(|| "(not set)".to_owned());
    let name_width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let value_width = entries.iter().map(|entry| value(entry).len()).max().unwrap_or(0);
    let row = |entry: &EffectiveSetting| {
        format!("{:name_width$}  {:value_width$}  {}", entry.name, value(entry), entry.source)
    };
    entries.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn settings_json(entries: &[EffectiveSetting]) -> String {
    let settings = entries.iter().map(|entry| {
        json!({
            "name": entry.name,
            "value": entry.value,
            "source": entry.source.to_string(),
            "default": entry.default,
            "allowed": entry.allowed,
            "meaning": entry.meaning,
        })
    });
    json!({"ok": true, "settings": settings.collect::<Vec<_>>()}).to_string()
}

fn mistakes_json(mistakes: &SettingMistakes) -> String {
    let mistakes = mistakes.0.iter().map(|mistake| json!({"setting": mistake.setting, "problem": mistake.problem}));
    json!({"ok": false, "mistakes": mistakes.collect::<Vec<_>>()}).to_string()
}

fn markdown(entries: &[EffectiveSetting]) -> String {
    let row = |entry: &EffectiveSetting| {
        let default = entry.default.as_ref().map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        format!("| `{}` | {default} | {} | {} |", entry.name, entry.meaning, entry.allowed)
    };
    let head = ["| setting | default | means | must be |".to_owned(), "|---|---|---|---|".to_owned()];
    head.into_iter().chain(entries.iter().map(row)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(variables: &[(&str, &str)]) -> Vec<EffectiveSetting> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(RawSettings::default().environment(variables)).unwrap().entries
    }

    #[test]
    fn the_table_says_what_holds_and_who_said_so() {
        let table = table(&entries(&[("ORDO_QUEUE_PREFIX", "shop"), ("DATABASE_URL", "postgres://a:s3cret@db/ordo")]));
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("ORDO_QUEUE_PREFIX"), ["ORDO_QUEUE_PREFIX", "shop", "environment"]);
        assert_eq!(row("ORDO_LISTEN"), ["ORDO_LISTEN", "127.0.0.1:3000", "default"]);
        assert_eq!(row("DATABASE_URL"), ["DATABASE_URL", "postgres://a:***@db/ordo", "environment"]);
        assert!(!table.contains("s3cret"));
    }

    #[test]
    fn people_get_a_paragraph_for_each() {
        let text = for_people(&entries(&[]));
        assert!(text.contains("ORDO_APPEND_QUEUE [default: 1024]\n    Commands that may wait"), "{text}");
        assert!(!text.contains('|') && !text.contains('`') || text.contains("`up`"), "{text}");
    }

    #[test]
    fn machines_get_the_same_as_json() {
        let text = settings_json(&entries(&[("ORDO_APPEND_QUEUE", "8")]));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let settings = json["settings"].as_array().unwrap();
        let queue = settings.iter().find(|entry| entry["name"] == "ORDO_APPEND_QUEUE").unwrap();
        assert_eq!(queue["value"], "8");
        assert_eq!(queue["default"], "1024");
        assert_eq!(queue["source"], "environment");
    }

    #[test]
    fn the_list_has_every_setting_with_its_default_and_bounds() {
        let list = markdown(&entries(&[]));
        assert!(list.contains("| `ORDO_APPEND_QUEUE` | `1024` |"), "{list}");
        assert!(list.contains("whole seconds from 1 to 43200"), "{list}");
        assert!(list.contains("| `DATABASE_URL` | – |"), "{list}");
    }
}
