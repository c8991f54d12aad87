//! The arguments of `ordo webhook`.

use access_control::Role;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use uuid::Uuid;
use webhooks::ENDPOINT_ROLES;

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum WebhookCommand {
    /// Have all events from now on posted to a URL, and print the secret that they are signed with; it is shown this once
    Create(WebhookCreateArgs),
    /// Who is told of events, and whether that works
    List {
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// One of them
    Show {
        /// The id of the webhook
        id: Uuid,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver again to one that was disabled, and try at once what waits
    Enable {
        /// The id of the webhook
        id: Uuid,
    },
    /// Stop deliveries: what is pending waits, and events that come meanwhile are missed
    Disable {
        /// The id of the webhook
        id: Uuid,
    },
    /// Delete one for good, with its deliveries
    Delete {
        /// The id of the webhook
        id: Uuid,
    },
    /// Print another secret for one; the one before signs as well for 24 hours
    RotateSecret {
        /// The id of the webhook
        id: Uuid,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// What was delivered to one, the latest event first
    Deliveries(WebhookDeliveriesArgs),
    /// Make a delivery again, whatever came of it
    Resend {
        /// The id of the delivery
        delivery: i64,
    },
    /// Deliver events of the past, also those that were delivered before
    Replay {
        /// The id of the webhook
        id: Uuid,
        /// The position of the first event
        #[arg(long, value_name = "POSITION")]
        from: i64,
        /// The position of the last event [default: the end of the log]
        #[arg(long, value_name = "POSITION")]
        to: Option<i64>,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a replay make no more deliveries; those that it has made are sent
    CancelReplay {
        /// The id of the replay
        replay: Uuid,
    },
    /// How far replays to one are
    Replays {
        /// The id of the webhook
        id: Uuid,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WebhookCreateArgs {
    /// Where events are posted to: https://
    #[arg(long)]
    pub(super) url: String,
    /// Which events, separated by commas [default: all]
    #[arg(long = "type", value_name = "NAMES", value_delimiter = ',')]
    pub(super) types: Vec<String>,
    /// It gets of each event what this role sees: auditor has personal data masked, warehouse nothing of payments, shop all but secrets
    #[arg(long, value_parser = role(), default_value = "auditor")]
    pub(super) role: Role,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) description: String,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("state").args(["failed", "pending"]))]
pub(crate) struct WebhookDeliveriesArgs {
    /// The id of the webhook
    pub(super) id: Uuid,
    /// Only those that were given up
    #[arg(long)]
    failed: bool,
    /// Only those that are to be made
    #[arg(long)]
    pending: bool,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: usize,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl WebhookDeliveriesArgs {
    pub(super) fn state(&self) -> Option<&'static str> {
        match (self.failed, self.pending) {
            (true, _) => Some("failed"),
            (false, true) => Some("pending"),
            (false, false) => None,
        }
    }
}

fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(ENDPOINT_ROLES.map(Role::as_str)).try_map(|name| name.parse::<Role>())
}
