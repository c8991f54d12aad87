//! `ordo demo`: one order from the POST to the mail, as a client sees it.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use error_chain::error_chain;
use ordo_client::{Client, Error, NewOrder, NewOrderItem};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{ApiAccessArgs, not_reached};
use crate::data_dir::ApiAndInboxUrls;
use crate::output;

/// Short enough to show the order of events, long enough not to load the platform.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How many other mails may arrive between two polls without hiding the expected one.
const NEWEST: usize = 50;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoArgs {
    /// The API of the platform [default: where the one in the data directory is, or http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// The inbox the mail arrives in [default: where that platform's is, or http://127.0.0.1:8005]
    #[arg(long, value_name = "URL")]
    pub(crate) inbox: Option<String>,
    /// The API as whoever reads this reaches it, for the last line [default: as --api]
    #[arg(long, value_name = "URL")]
    pub(crate) public_api: Option<String>,
    /// The inbox likewise [default: as --inbox]
    #[arg(long, value_name = "URL")]
    pub(crate) public_inbox: Option<String>,
    /// The order's id [default: a fresh one]
    #[arg(long, value_name = "ID")]
    pub(crate) order_id: Option<String>,
    /// How long to wait for the mail
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    access: ApiAccessArgs,
}

/// Posts the demo order and follows it until its mail is in the inbox.
pub(crate) async fn run(args: &DemoArgs, endpoints: &ApiAndInboxUrls) -> anyhow::Result<()> {
    let order_id = args.order_id.clone().unwrap_or_else(|| format!("demo-{}", Uuid::now_v7()));
    let mut journey = DemoJourney::start(order_id, args, endpoints)?;
    let waited = tokio::time::timeout(Duration::from_secs(args.timeout), journey.follow()).await;
    match waited {
        Ok(done) => done?,
        Err(_) => bail!(
            "no mail for {} after {} s; its status is {}: see {}",
            journey.order_id,
            args.timeout,
            journey.status.as_deref().unwrap_or("not known"),
            journey.order_url("/events"),
        ),
    }
    journey.conclude()
}

struct DemoJourney<'a> {
    args: &'a DemoArgs,
    endpoints: &'a ApiAndInboxUrls,
    client: Client,
    /// It has no token: that is the platform's.
    inbox: Client,
    order_id: String,
    since: Instant,
    steps: Vec<DemoStep>,
    events_seen: usize,
    status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoStep {
    after_ms: f64,
    step: String,
    detail: String,
}

impl<'a> DemoJourney<'a> {
    fn start(order_id: String, args: &'a DemoArgs, endpoints: &'a ApiAndInboxUrls) -> anyhow::Result<Self> {
        Ok(Self {
            args,
            endpoints,
            client: args.access.client(&endpoints.api)?,
            inbox: Client::new(&endpoints.inbox)?,
            order_id,
            since: Instant::now(),
            steps: Vec::new(),
            events_seen: 0,
            status: None,
        })
    }

    async fn follow(&mut self) -> anyhow::Result<()> {
        // Ask first: a missing platform is noticed before an order is placed, and the first connection is not timed.
        self.client.get(&["health", "live"], &[]).await.map_err(|error| {
            not_reached(&error).unwrap_or_else(|| anyhow!("no platform: {}; name it with --api", error_chain(&error)))
        })?;
        self.mail().await?;
        self.post().await?;
        loop {
            self.look_at_events().await?;
            self.look_at_order().await?;
            if let Some((subject, to)) = self.mail().await? {
                self.look_at_events().await?;
                self.look_at_order().await?;
                return self.step("mail", format!("\"{subject}\" to {to}"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn post(&mut self) -> anyhow::Result<()> {
        if !self.args.json {
            output::line(&format!("order {}", self.order_id))?;
        }
        self.since = Instant::now();
        let placed = self.client.place_order(&demo_order(&self.order_id)).await?;
        self.step("POST /orders", format!("version {}", placed.version))
    }

    async fn look_at_events(&mut self) -> anyhow::Result<()> {
        let Some(timeline) = found(self.client.timeline(&self.order_id).page(None).await)? else { return Ok(()) };
        for event in timeline.items.iter().skip(self.events_seen) {
            self.step(&event.event_type, String::new())?;
        }
        self.events_seen = self.events_seen.max(timeline.items.len());
        Ok(())
    }

    async fn look_at_order(&mut self) -> anyhow::Result<()> {
        if let Some(order) = found(self.client.order(&self.order_id).await)?
            && self.status.as_ref() != Some(&order.status)
        {
            self.step("GET /orders/{id}", format!("status {}", order.status))?;
            self.status = Some(order.status);
        }
        Ok(())
    }

    /// Subject and recipient of the mail about this order, once it is there.
    async fn mail(&self) -> anyhow::Result<Option<(String, String)>> {
        let newest = NEWEST.to_string();
        let messages = self.inbox.get(&["messages"], &[("brief", "true"), ("limit", &newest)]).await;
        let messages = messages.map_err(|error| {
            let error = error_chain(&error);
            anyhow!("no inbox: {error}; start one with `ordo up`, or name it with --inbox")
        })?;
        let about = |message: &&Value| message["subject"].as_str().is_some_and(|text| text.contains(&self.order_id));
        let found = messages.as_array().and_then(|messages| messages.iter().find(about));
        Ok(found.map(|message| {
            let to = message["to"].as_array().map_or(&[][..], Vec::as_slice);
            let to = to.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            (message["subject"].as_str().unwrap_or_default().to_owned(), to)
        }))
    }

    fn step(&mut self, step: &str, detail: String) -> anyhow::Result<()> {
        let after_ms = (self.since.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        if !self.args.json {
            output::line(format!("{after_ms:>9.1} ms  {step:<24} {detail}").trim_end())?;
        }
        self.steps.push(DemoStep { after_ms, step: step.to_owned(), detail });
        Ok(())
    }

    fn conclude(&self) -> anyhow::Result<()> {
        if self.args.json {
            let total_ms = self.steps.last().map(|step| step.after_ms);
            let journey =
                json!({"orderId": self.order_id, "status": self.status, "totalMs": total_ms, "steps": self.steps});
            return Ok(output::line(&journey.to_string())?);
        }
        let inbox = self.args.public_inbox.as_ref().unwrap_or(&self.endpoints.inbox);
        output::line(&format!("the mail is at {inbox}, the order at {}", self.order_url("")))?;
        Ok(())
    }

    /// The URL of the order, or of something below it, for people.
    fn order_url(&self, below: &str) -> String {
        let api = self.args.public_api.as_ref().unwrap_or(&self.endpoints.api);
        format!("{}/orders/{}{below}", api.trim_end_matches('/'), self.order_id)
    }
}

/// `None`: it is not there yet.
fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(error @ Error::Problem(_)) if error.is_temporary() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The order that every client example shows.
fn demo_order(order_id: &str) -> NewOrder {
    let item =
        NewOrderItem { title: Some("Wireless Headphones".to_owned()), ..NewOrderItem::new("sku-123", 1, "129.99") };
    NewOrder {
        notes: Some("REST Client sample order".to_owned()),
        metadata: [("channel".to_owned(), "demo".into())].into(),
        ..NewOrder::new(order_id, "customer-42", "129.99", "USD", [item])
    }
}
