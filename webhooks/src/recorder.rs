//! The follower of the log that makes a delivery for each endpoint and event.

use async_trait::async_trait;
use cqrs_es::Aggregate;
use domain::order::Order;
use event_store::read::last_position;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::endpoint::keep_endpoints;

/// The name of the subscription.
const SUBSCRIPTION: &str = "webhooks";

/// Makes the deliveries of new events. Where one goes and whether it is wanted is decided by the endpoints of that moment.
pub(crate) struct DeliveryRecorder;

#[async_trait]
impl Subscriber for DeliveryRecorder {
    fn name(&self) -> &str {
        SUBSCRIPTION
    }

    fn follows(&self) -> Option<&'static str> {
        Some(Order::TYPE)
    }

    /// Begins after the events that no endpoint is told of: nobody is to wait until all of history was read.
    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        keep_endpoints(transaction).await?;
        let told_after = "select min(from_position) from webhook_endpoints";
        let told_after: Option<i64> = sqlx::query_scalar(told_after).fetch_one(&mut *transaction).await?;
        // An endpoint that is made later is told of later events than those that are there now.
        match told_after {
            Some(position) => Ok(position),
            None => last_position(transaction).await,
        }
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        keep_endpoints(transaction).await?;
        let is_any = "select exists (select from webhook_endpoints where deleted_at is null)";
        if !sqlx::query_scalar::<_, bool>(is_any).fetch_one(&mut *transaction).await? {
            return Ok(());
        }
        // What this build can't read it can't deliver either.
        for event in events {
            event.decode::<Order>()?;
        }
        let columns = EventColumns::of(events);
        columns.record(transaction).await?;
        columns.note_missed(transaction).await?;
        Ok(())
    }
}

/// Events as parameters of a statement.
pub(crate) struct EventColumns<'a> {
    positions: Vec<i64>,
    order_ids: Vec<&'a str>,
    event_ids: Vec<Uuid>,
    event_types: Vec<&'a str>,
}

/// The events that an enabled endpoint wants.
const WANTED: &str = "select endpoint.id as endpoint_id, event.*
                        from unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[]) as event (position, order_id, event_id, event_type)
                        join webhook_endpoints endpoint
                          on (endpoint.event_types = '{}' or event.event_type = any (endpoint.event_types))";

impl<'a> EventColumns<'a> {
    pub(crate) fn of(events: &'a [StoredEvent]) -> Self {
        Self {
            positions: events.iter().map(|event| event.position).collect(),
            order_ids: events.iter().map(|event| event.stream_id.as_str()).collect(),
            event_ids: events.iter().map(|event| event.event_id).collect(),
            event_types: events.iter().map(|event| event.event_type.as_str()).collect(),
        }
    }

    /// Makes the deliveries that are not there yet. An order's queue is locked until the end of the transaction, so whoever delivers
    /// its last pending delivery at the same time either sees the new one or has its queue made anew here.
    async fn record(&self, transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
        let statement = format!(
            "with wanted as ({WANTED}
                   where endpoint.disabled_at is null and event.position > endpoint.from_position),
                  queued as (
                     insert into webhook_queues (endpoint_id, order_id, due_at)
                     select endpoint_id, order_id, clock_timestamp()
                       from (select distinct endpoint_id, order_id from wanted) as changed order by 1, 2
                         on conflict (endpoint_id, order_id) do update set due_at = webhook_queues.due_at)
             insert into webhook_deliveries (endpoint_id, position, order_id, event_id, event_type)
             select endpoint_id, position, order_id, event_id, event_type from wanted order by position
                 on conflict (endpoint_id, position) do nothing"
        );
        self.bind(&statement).execute(transaction).await.map(drop)
    }

    /// Notes for disabled endpoints from where on they would have to be told again.
    async fn note_missed(&self, transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
        let statement = format!(
            "update webhook_endpoints set missed_from = missed.position
               from (select endpoint_id, min(position) as position from ({WANTED}
                      where endpoint.disabled_at is not null and endpoint.deleted_at is null
                        and event.position > endpoint.from_position) as wanted group by 1) as missed
              where id = missed.endpoint_id and (missed_from is null or missed_from > missed.position)"
        );
        self.bind(&statement).execute(transaction).await.map(drop)
    }

    /// Makes the deliveries to one endpoint pending, whatever came of them before. Returns how many were not.
    pub(crate) async fn record_again(
        &self,
        transaction: &mut PgConnection,
        endpoint: Uuid,
    ) -> Result<u64, sqlx::Error> {
        let statement = "with event as (select * from unnest($1::bigint[], $2::text[], $3::uuid[], $4::text[])
                                                   as event (position, order_id, event_id, event_type)),
                  queued as (
                     insert into webhook_queues (endpoint_id, order_id, due_at)
                     select $5::uuid, order_id, clock_timestamp()
                       from (select distinct order_id from event) as changed order by 2
                         on conflict (endpoint_id, order_id) do update set due_at = webhook_queues.due_at)
             insert into webhook_deliveries as delivery (endpoint_id, position, order_id, event_id, event_type)
             select $5, position, order_id, event_id, event_type from event order by position
                 on conflict (endpoint_id, position) do update
                    set state = 'pending', ended_at = null, attempts = 0, created_at = now() where delivery.state <> 'pending'";
        self.bind(statement).bind(endpoint).execute(transaction).await.map(|made| made.rows_affected())
    }

    fn bind<'q>(&'q self, statement: &'q str) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
        let query = sqlx::query(statement).bind(&self.positions).bind(&self.order_ids);
        query.bind(&self.event_ids).bind(&self.event_types)
    }
}
