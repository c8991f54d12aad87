//! The help of `ordo`, with its commands in groups: clap has none for them.

use std::fmt::Write as _;

use clap::CommandFactory;
use clap::builder::styling::Styles;

use super::Cli;

const EXAMPLES: &str = "\
  ordo demo                             an order's journey through it
  ordo order show demo-1                an order as it is
  ordo saga list --state stuck          what waits for a decision; `ordo saga show ORDER` says for which
  ordo dlq list                         messages that could not be handled
  ordo replay --all --compare           read models made anew, if they would differ
  ordo verify                           does everything agree

docs/reference/commands.md describes each of them.";
/// The command that starts the platform, and how the other commands find it.
#[cfg(feature = "embedded")]
const START: (&str, &str) = (
    "  ordo up                               the whole platform; Ctrl-C stops it",
    " Commands find the platform that `ordo up` runs in this folder.",
);
#[cfg(not(feature = "embedded"))]
const START: (&str, &str) = ("  ordo serve                            the roles in ORDO_ROLES; Ctrl-C stops them", "");

/// The commands, grouped by purpose.
pub(super) const GROUPS: [(&str, &[&str]); 5] = [
    ("Running", &["up", "serve", "migrate", "inbox", "queues"]),
    ("Looking", &["demo", "order", "mail", "tail", "health", "verify", "doctor", "config"]),
    ("Operating", &["saga", "dlq", "subscriptions", "replay", "webhook", "events"]),
    ("Access", &["key", "token"]),
    ("These commands themselves", &["completions", "man", "version"]),
];

/// The command line with its grouped help.
pub(super) fn command_line() -> clap::Command {
    let command = Cli::command();
    let heading = Styles::styled();
    let heading = heading.get_header();
    let mut help = format!("{{about-with-newline}}\n{heading}Usage:{heading:#} {{usage}}\n");
    for (group, names) in GROUPS {
        // A build for production does not have all of them.
        let commands = names.iter().filter_map(|name| command.find_subcommand(name));
        let _ = write!(help, "\n{heading}{group}:{heading:#}\n");
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(help, "  {:<14} {about}", command.get_name());
        }
    }
    let _ = write!(help, "\n{heading}Options:{heading:#}\n{{options}}{{after-help}}");
    let (start, found) = START;
    command.help_template(help).after_help(format!("Examples:\n{start}\n  {EXAMPLES}{found}"))
}
