#!/bin/sh
# Makes a login user for each role of the platform, once the group roles are there, and sets their passwords. Safe to run again.
set -eu
: "${PGPASSWORD:=$(cat "$POSTGRES_PASSWORD_FILE")}"
users_password=${USERS_PASSWORD:-$(cat "$USERS_PASSWORD_FILE")}
export PGPASSWORD
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --set password="$users_password" <<'SQL'
select format('create role %I login', login)
  from unnest(array['command_api', 'projections', 'sagas', 'notification']) as login
 where not exists (select from pg_roles where rolname = login) \gexec
alter role command_api password :'password';
alter role projections password :'password';
alter role sagas password :'password';
alter role notification password :'password';
grant ordo_writer to command_api;
grant ordo_projector to projections;
grant ordo_saga to sagas;
grant ordo_notifier to notification;
SQL
