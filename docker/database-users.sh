#!/bin/sh
# Makes a login user for each role of the platform, once the group roles are there, and sets their passwords. Safe to run again.
set -eu
# From the environment or the file that NAME_FILE names, and on by the environment: everyone on a machine sees the arguments of commands.
for name in PGPASSWORD COMMAND_API_PASSWORD PROJECTIONS_PASSWORD SAGAS_PASSWORD NOTIFICATION_PASSWORD WEBHOOKS_PASSWORD CONSOLE_PASSWORD; do
    eval "value=\${$name:-} file=\${${name}_FILE:-}"
    if [ -z "$value" ]; then value=$(cat "${file:?$name and ${name}_FILE are not set}"); fi
    export "$name=$value"
done
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
\getenv command_api COMMAND_API_PASSWORD
\getenv projections PROJECTIONS_PASSWORD
\getenv sagas SAGAS_PASSWORD
\getenv notification NOTIFICATION_PASSWORD
\getenv webhooks WEBHOOKS_PASSWORD
\getenv console CONSOLE_PASSWORD
set search_path = pg_catalog, pg_temp;
select format('create role %I login', login)
  from unnest(array['command_api', 'projections', 'sagas', 'notification', 'webhooks', 'console']) as login
 where not exists (select from pg_roles where rolname = login) \gexec
alter role command_api password :'command_api';
alter role projections password :'projections';
alter role sagas password :'sagas';
alter role notification password :'notification';
alter role webhooks password :'webhooks';
alter role console password :'console';
grant ordo_writer to command_api;
grant ordo_projector to projections;
grant ordo_saga to sagas;
grant ordo_notifier to notification;
grant ordo_webhook to webhooks;
-- It reads as projections do, and acts as the command API and the sagas do.
grant ordo_projector, ordo_writer, ordo_saga to console;
SQL
