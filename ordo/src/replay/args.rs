//! The arguments of `ordo replay`.

#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["projections", "all"]))]
#[command(group = clap::ArgGroup::new("what").args(["dry_run", "compare", "rollback", "cancel"]))]
pub(crate) struct ReplayArgs {
    /// Which read model; several times: several in one pass over the events
    #[arg(long = "projection", value_name = "NAME")]
    pub(crate) projections: Vec<String>,
    /// Every read model, in one pass over the events
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say how many events there are and how long it would take
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Look for differences, and leave the live one in its place if there are any; exit code 1 then
    #[arg(long)]
    pub(crate) compare: bool,
    /// Have the generation that was replaced last take its place again
    #[arg(long)]
    pub(crate) rollback: bool,
    /// End the replay that is under way or was stopped, and remove what it has made
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Say it as lines of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
