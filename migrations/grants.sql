-- What each group role may do, and nothing else. Run by `ordo migrate` in a database that uses the roles; safe to run again.
-- A new table needs a line here: docs/reference/database-roles.md is compared with the database.
do $$
declare
    item   record;
    schema name := pg_catalog.current_schema();
    path   text := pg_catalog.current_setting('search_path');
begin
    -- Earlier builds let ordo_projector create functions and operators in the schema. None is to be run with the owner's rights.
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    for item in select c.oid::regclass as object
                  from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = schema and c.relkind in ('r', 'p', 'S') and pg_get_userbyid(c.relowner) = 'ordo_owner'
    loop
        execute format('revoke all on %s from public, ordo_writer, ordo_saga, ordo_projector, ordo_notifier, ordo_reader',
                       item.object);
    end loop;
    for item in select c.oid::regclass as object
                  from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = schema and c.relkind = 'r' and c.relname like 'read\_model\_%'
                   and c.relname not in ('read_model_tallies', 'read_model_previous', 'read_model_generations')
                   and pg_get_userbyid(c.relowner) = 'ordo_owner'
    loop
        execute format('grant select, insert, update, delete on %s to ordo_projector', item.object);
        execute format('grant select on %s to ordo_reader', item.object);
    end loop;
    perform set_config('search_path', path, true);
end
$$;

-- Whether the schema is this build's is looked at by every process.
grant select on _sqlx_migrations to ordo_writer, ordo_saga, ordo_projector, ordo_notifier, ordo_reader;

-- Nobody changes or deletes events. Locking the table in the mode of an insert takes no more than the right to insert.
grant select, insert on events to ordo_writer, ordo_saga;
grant select on events to ordo_projector, ordo_reader;
-- For the lag among its metrics; not the content.
grant select (global_position, recorded_at, aggregate_type, aggregate_id, sequence, event_type) on events to ordo_notifier;
grant select on events_global_position to ordo_projector, ordo_reader;

grant select, insert on event_seals to ordo_writer, ordo_saga, ordo_projector;
grant select on event_seals to ordo_reader;
grant select, insert, update, delete on stream_snapshots to ordo_writer, ordo_saga;
grant select on stream_snapshots to ordo_projector, ordo_reader;
-- Update is for locking rows that are deleted.
grant select, insert, update, delete on idempotency_records to ordo_writer;
-- Operators decide about dead letters in the role sagas, once for a key.
grant select, insert on idempotency_records to ordo_saga;
grant select on idempotency_records to ordo_reader;

grant select, insert, update, delete on subscription_partitions, parked_events, stopped_subscriptions
    to ordo_saga, ordo_projector;
grant select on subscription_partitions, parked_events, stopped_subscriptions to ordo_writer, ordo_notifier, ordo_reader;

grant select, insert, update, delete on saga_work, sandbox_payments, sandbox_movements, sandbox_failures to ordo_saga;
-- What is in a row is carried out by the sagas, so nobody else begins one.
grant select, insert, update, delete on bulk_actions to ordo_saga;
grant select on bulk_actions to ordo_projector, ordo_reader;
grant select on saga_work to ordo_writer, ordo_projector, ordo_notifier, ordo_reader;
grant select on sandbox_payments, sandbox_movements, sandbox_failures to ordo_reader;

grant select, insert, update, delete on replays, read_model_tallies, read_model_previous, read_model_generations
    to ordo_projector;
grant select on replays, read_model_tallies, read_model_previous, read_model_generations to ordo_reader;
-- The tables of read models are the owner's, who makes them for a replay by these functions.
grant execute on function create_read_model_items(text), index_read_model(text), create_read_model(text),
    rename_read_model(text, text), drop_read_model(text), set_read_model_autovacuum(text, boolean), analyze_read_model(text)
    to ordo_projector;

-- Every process that answers over HTTP checks the credentials of its callers, and says when they were last used. Making and revoking
-- them is the owner's.
grant select, update (last_used_at) on api_keys to ordo_writer, ordo_saga, ordo_projector, ordo_notifier;
grant select (id, role, customer_id, name, created_at, expires_at, revoked_at, last_used_at) on api_keys to ordo_reader;

grant select, insert, update on notification_deliveries to ordo_notifier;
grant select on notification_deliveries to ordo_reader;
grant select, insert, update, delete on message_failures to ordo_saga, ordo_notifier;
grant select on message_failures to ordo_reader;

grant select (id, url, description, event_types, role, created_at, from_position, disabled_at, disabled_because, missed_from,
              failing_since, failures, failed_at, not_before, previous_secret_until, deleted_at) on webhook_endpoints to ordo_reader;
grant select on webhook_deliveries, webhook_queues, webhook_replays to ordo_reader;

-- This role came later: where it is missing, `ordo migrate --roles` makes it, which takes a right that whoever migrates may not have.
do $$
declare
    item   record;
    schema name := pg_catalog.current_schema();
    path   text := pg_catalog.current_setting('search_path');
begin
    if not exists (select from pg_catalog.pg_roles where rolname operator(pg_catalog.=) 'ordo_webhook') then
        return;
    end if;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    for item in select c.oid::regclass as object
                  from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = schema and c.relkind in ('r', 'p', 'S') and pg_get_userbyid(c.relowner) = 'ordo_owner'
    loop
        execute format('revoke all on %s from ordo_webhook', item.object);
    end loop;
    perform set_config('search_path', path, true);
    grant select on _sqlx_migrations, events, saga_work to ordo_webhook;
    grant select, insert, update, delete on subscription_partitions, parked_events, stopped_subscriptions to ordo_webhook;
    grant select, update (last_used_at) on api_keys to ordo_webhook;
    -- The secrets of endpoints are for who signs with them.
    grant select, insert, update, delete on webhook_endpoints, webhook_deliveries, webhook_queues, webhook_replays to ordo_webhook;
end
$$;
