//! `ordo mail`: mails as they would be sent.

use clap::{Args, Subcommand};
use event_store::{AppendQueueSettings, EventStore};
use messaging::{NotificationRequested, NotificationTemplate};
use notification::MailContent;

use crate::settings::Settings;
use crate::{connections, migrate, output};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MailCommand {
    /// Print a mail as it would be sent, or was
    Preview(MailPreviewArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MailPreviewArgs {
    /// Which mail, such as order_confirmed
    #[arg(long, value_name = "NAME", value_parser = template, required_unless_present = "list")]
    template: Option<NotificationTemplate>,
    /// Its language, such as de or de-AT [default: that of the order or of staff, en for the sample]
    #[arg(long, value_name = "TAG", value_parser = locale)]
    locale: Option<String>,
    /// About this order; of several mails the last
    #[arg(long, value_name = "ID", conflicts_with = "sample")]
    order: Option<String>,
    /// About an order that has everything, and that nobody placed; it is so without --order, too
    #[arg(long)]
    sample: bool,
    /// Its HTML and nothing else
    #[arg(long)]
    html: bool,
    /// Its text and nothing else [default: the subject, too]
    #[arg(long, conflicts_with = "html")]
    text: bool,
    /// Say which mails and languages there are
    #[arg(long, exclusive = true)]
    list: bool,
}

impl MailPreviewArgs {
    /// Whether it is about an order that somebody placed.
    pub(crate) fn needs_orders(&self) -> bool {
        self.order.is_some()
    }
}

/// Prints a mail. `settings` are needed for one about an order.
pub(crate) async fn preview(settings: Option<&Settings>, args: &MailPreviewArgs) -> anyhow::Result<()> {
    let Some(template) = args.template else {
        output::line(&format!("templates  {}", templates().join(", ")))?;
        return Ok(output::line(&format!("languages  {}", languages()))?);
    };
    let mut request = match (settings, &args.order) {
        (Some(settings), Some(order)) => of_order(settings, order, template).await?,
        _ => notification::sample_request(template),
    };
    if let Some(locale) = &args.locale {
        request.locale = Some(locale.clone());
    }
    let MailContent { subject, text, html, .. } = notification::render(&request)?;
    let shown = match (args.html, args.text) {
        (true, _) => html,
        (false, true) => text,
        (false, false) => format!("Subject: {subject}\n\n{text}"),
    };
    Ok(output::line(&shown)?)
}

async fn of_order(
    settings: &Settings,
    order: &str,
    template: NotificationTemplate,
) -> anyhow::Result<NotificationRequested> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    let store = EventStore::start(pool, AppendQueueSettings::default());
    let request = sagas::mail_request(&store, order, template, settings.document_url.as_ref()).await;
    store.close().await;
    let mut request = request?;
    if template == NotificationTemplate::StaffNewOrder {
        request.locale = Some(settings.mail_staff_locale.clone());
    }
    Ok(request)
}

/// The templates as their files are named.
fn templates() -> Vec<String> {
    NotificationTemplate::ALL.iter().map(|template| template.as_str().replace('-', "_")).collect()
}

fn languages() -> String {
    notification::locales().collect::<Vec<_>>().join(", ")
}

fn template(name: &str) -> Result<NotificationTemplate, String> {
    let known = NotificationTemplate::ALL.into_iter().find(|template| template.as_str() == name.replace('_', "-"));
    known.ok_or_else(|| format!("there are {}", templates().join(", ")))
}

fn locale(tag: &str) -> Result<String, String> {
    if notification::is_written_in(tag) {
        return Ok(tag.to_owned());
    }
    Err(format!("mails are written in {}; whoever reads another language gets en", languages()))
}
