//! Settings that choose among a few values.

use std::fmt;

use super::value_types::SettingType;

/// A part of the platform that runs alone or with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlatformRole {
    /// Takes commands over HTTP.
    CommandApi,
    /// Keeps the read models and answers questions over HTTP.
    Projections,
    /// Moves every order to its end.
    Sagas,
    /// Sends the mails.
    Notification,
    /// Tells other programs what happens.
    Webhooks,
    /// Shows the platform in a browser.
    Console,
}

impl PlatformRole {
    /// Every role, in the order data flows through them.
    pub const ALL: [Self; 6] =
        [Self::CommandApi, Self::Projections, Self::Sagas, Self::Notification, Self::Webhooks, Self::Console];

    /// Its name on the command line and in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandApi => "command-api",
            Self::Projections => "projections",
            Self::Sagas => "sagas",
            Self::Notification => "notification",
            Self::Webhooks => "webhooks",
            Self::Console => "console",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for PlatformRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A comma list, or `all`.
pub(super) fn roles() -> SettingType<Vec<PlatformRole>> {
    let names = PlatformRole::ALL.map(PlatformRole::as_str).join(", ");
    let show = |roles: &Vec<PlatformRole>| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",");
    SettingType::new(format!("all, or a comma list of {names}"), show, |text| {
        if text == "all" {
            return Some(PlatformRole::ALL.to_vec());
        }
        let mut roles = Vec::new();
        for name in text.split(',') {
            let role = PlatformRole::parse(name.trim())?;
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Some(roles)
    })
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line, for machines.
    Json,
}

pub(super) fn log_format() -> SettingType<LogFormat> {
    let show = |format: &LogFormat| format!("{format:?}").to_lowercase();
    SettingType::new("auto, text or json", show, |text| match text {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    })
}

/// Where read models are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadModelStoreKind {
    /// In the database that has the events.
    Postgres,
    /// In tables of DynamoDB's.
    Dynamodb,
}

pub(super) fn read_model_store() -> SettingType<ReadModelStoreKind> {
    let show = |store: &ReadModelStoreKind| format!("{store:?}").to_lowercase();
    SettingType::new("postgres or dynamodb", show, |text| match text {
        "postgres" => Some(ReadModelStoreKind::Postgres),
        "dynamodb" => Some(ReadModelStoreKind::Dynamodb),
        _ => None,
    })
}
