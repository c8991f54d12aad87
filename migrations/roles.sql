-- The group roles of the database. Run by `ordo migrate --roles`; safe to run again. Roles belong to the whole server: other databases
-- may have made them. None of them can log in: login users are granted them.
do $$
declare
    wanted       text;
    login        name;
    owner        name;
    schema       name := pg_catalog.current_schema();
    events_table oid  := 'events'::regclass;
begin
    -- Earlier builds let ordo_projector create functions and operators in the schema. None is to be run by whoever runs this.
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    owner := (select pg_get_userbyid(c.relowner) from pg_class c where c.oid = events_table);

    foreach wanted in array array[
        'ordo_owner',     -- owns all objects
        'ordo_migrator',  -- brings the schema up to date
        'ordo_writer',    -- appends events for commands
        'ordo_saga',      -- carries orders on: appends events, keeps timers and the sandbox's books
        'ordo_projector', -- fills and reads the tables of read models
        'ordo_notifier',  -- keeps the delivery records of mails
        'ordo_webhook',   -- keeps the endpoints of webhooks, and delivers to them
        'ordo_reader'     -- reads everything and writes nothing
    ] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I', wanted);
        end if;
    end loop;

    -- Only what is missing: granting takes a right that whoever runs this again may not have. With earlier builds tables belonged to
    -- ordo_projector; only a member of it can take them over.
    if not pg_has_role('ordo_owner', 'ordo_projector', 'usage') then
        grant ordo_projector to ordo_owner;
    end if;
    if not pg_has_role('ordo_migrator', 'ordo_owner', 'usage') then
        grant ordo_owner to ordo_migrator;
    end if;
    -- Processes may be running under the user who owned the schema until now. They keep what they could do.
    foreach login in array array[current_user, owner] loop
        if not pg_has_role(login, 'ordo_owner', 'usage') then
            execute format('grant ordo_owner to %I', login);
        end if;
    end loop;

    if not has_schema_privilege('ordo_owner', schema, 'create') then
        execute format('grant usage, create on schema %I to ordo_owner', schema);
    end if;
    if not has_schema_privilege('ordo_writer', schema, 'usage') or not has_schema_privilege('ordo_projector', schema, 'usage')
       or not has_schema_privilege('ordo_webhook', schema, 'usage') then
        execute format('grant usage on schema %I to ordo_writer, ordo_saga, ordo_projector, ordo_notifier, ordo_webhook, ordo_reader',
                       schema);
    end if;
    -- Earlier builds granted it, and it could plant functions with it that other roles would run.
    if exists (select from pg_namespace n, aclexplode(n.nspacl) as granted
                where n.nspname = schema and granted.grantee = 'ordo_projector'::regrole and granted.privilege_type = 'CREATE') then
        execute format('revoke create on schema %I from ordo_projector', schema);
        select pg_get_userbyid(granted.grantor) into login
          from pg_namespace n, aclexplode(n.nspacl) as granted
         where n.nspname = schema and granted.grantee = 'ordo_projector'::regrole and granted.privilege_type = 'CREATE';
        if found then
            raise exception 'ordo_projector may still create objects in the schema %', schema
                using errcode = 'insufficient_privilege',
                      hint = format('%I granted it: run this as that user, or revoke it as that user first', login);
        end if;
    end if;
end
$$;
