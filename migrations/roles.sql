-- The group roles of the database, and who owns what. Run by `ordo migrate --roles`; safe to run again. Roles belong to the whole
-- server: other databases may have made them. None of them can log in: login users are granted them.
do $$
declare
    wanted   text;
    item     record;
    schema   text    := current_schema();
    owner_id oid     := (select relowner from pg_class where oid = 'events'::regclass);
    is_super boolean := (select rolsuper from pg_roles where rolname = current_user);
begin
    foreach wanted in array array[
        'ordo_owner',     -- owns all objects but the tables of read models
        'ordo_migrator',  -- brings the schema up to date
        'ordo_writer',    -- appends events for commands
        'ordo_saga',      -- carries orders on: appends events, keeps timers and the sandbox's books
        'ordo_projector', -- owns the tables of read models, and fills and reads them
        'ordo_notifier',  -- keeps the delivery records of mails
        'ordo_reader'     -- reads everything and writes nothing
    ] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I', wanted);
        end if;
    end loop;

    -- Only what is missing: granting takes a right that whoever runs this again may not have.
    if not pg_has_role('ordo_owner', 'ordo_projector', 'usage') then
        grant ordo_projector to ordo_owner;
    end if;
    if not pg_has_role('ordo_migrator', 'ordo_owner', 'usage') then
        grant ordo_owner to ordo_migrator;
    end if;
    if not is_super and not pg_has_role(current_user, 'ordo_owner', 'usage') then
        execute format('grant ordo_owner to %I', current_user);
    end if;

    if not has_schema_privilege('ordo_owner', schema, 'create') or not has_schema_privilege('ordo_projector', schema, 'create')
    then
        execute format('grant usage, create on schema %I to ordo_owner, ordo_projector', schema);
    end if;
    if not has_schema_privilege('ordo_writer', schema, 'usage') then
        execute format('grant usage on schema %I to ordo_writer, ordo_saga, ordo_notifier, ordo_reader', schema);
    end if;

    -- What has the owner of the events is ours. What an extension brought is not.
    for item in
        select c.oid::regclass as object,
               case when c.relname like 'read\_model\_%'
                         and c.relname not in ('read_model_tallies', 'read_model_previous', 'read_model_generations')
                    then 'ordo_projector' else 'ordo_owner' end as owner
          from pg_class c
         where c.relnamespace = schema::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and c.relowner = owner_id
           and not exists (select from pg_depend d
                            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    loop
        execute format('alter table %s owner to %I', item.object, item.owner);
    end loop;
    for item in
        select p.oid::regprocedure as object
          from pg_proc p
         where p.pronamespace = schema::regnamespace and p.prokind = 'f' and p.proowner = owner_id
           and not exists (select from pg_depend d
                            where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('alter function %s owner to ordo_owner', item.object);
    end loop;
end
$$;
