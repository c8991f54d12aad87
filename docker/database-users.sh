#!/bin/sh
# Makes a login user for each role of the platform, once the group roles are there, and sets their passwords. Safe to run again.
set -eu
: "${PGPASSWORD:=$(cat "$POSTGRES_PASSWORD_FILE")}"
command_api=${COMMAND_API_PASSWORD:-$(cat "$COMMAND_API_PASSWORD_FILE")}
projections=${PROJECTIONS_PASSWORD:-$(cat "$PROJECTIONS_PASSWORD_FILE")}
sagas=${SAGAS_PASSWORD:-$(cat "$SAGAS_PASSWORD_FILE")}
notification=${NOTIFICATION_PASSWORD:-$(cat "$NOTIFICATION_PASSWORD_FILE")}
webhooks=${WEBHOOKS_PASSWORD:-$(cat "$WEBHOOKS_PASSWORD_FILE")}
export PGPASSWORD
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set command_api="$command_api" --set projections="$projections" \
    --set sagas="$sagas" --set notification="$notification" --set webhooks="$webhooks" <<'SQL'
set search_path = pg_catalog, pg_temp;
select format('create role %I login', login)
  from unnest(array['command_api', 'projections', 'sagas', 'notification', 'webhooks']) as login
 where not exists (select from pg_roles where rolname = login) \gexec
alter role command_api password :'command_api';
alter role projections password :'projections';
alter role sagas password :'sagas';
alter role notification password :'notification';
alter role webhooks password :'webhooks';
grant ordo_writer to command_api;
grant ordo_projector to projections;
grant ordo_saga to sagas;
grant ordo_notifier to notification;
grant ordo_webhook to webhooks;
SQL
