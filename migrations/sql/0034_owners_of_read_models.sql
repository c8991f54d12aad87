-- Where the database uses the group roles (`ordo migrate --roles`), the tables of read models belong to ordo_projector: a replay
-- makes, renames and drops them, whichever login user it runs under.
--
-- So ordo_projector may create functions and operators in the schema. These functions are run by others too, and name what they call
-- by its schema: a function of the same name that fits the arguments better would be taken instead, and have the caller's rights.
create or replace function create_read_model_items(name text) returns void language plpgsql as $$
begin
    -- "C": keys sort by their bytes, as DynamoDB sorts them, whatever the database's locale.
    execute pg_catalog.format($ddl$
        create table if not exists %1$I (
            pk      text collate "C" not null,  -- the item collection: 'ORDER#id'
            sk      text collate "C" not null,  -- the item in it: '#META', 'LINE#001'
            gsi1pk  text collate "C",           -- other ways to find it; null: not found that way
            gsi1sk  text collate "C",
            gsi2pk  text collate "C",
            gsi2sk  text collate "C",
            gsi3pk  text collate "C",
            gsi3sk  text collate "C",
            version bigint not null,            -- the log position that wrote it
            item    json   not null             -- what readers get
        )
        -- What fits on a page is kept as it is: compressing an order each time it changes takes longer than anything else about it.
        with (toast_tuple_target = 8160)$ddl$, name);
    if exists (select from pg_catalog.pg_class c
                where c.oid operator(pg_catalog.=) pg_catalog.to_regclass('events')::oid
                  and pg_catalog.pg_get_userbyid(c.relowner) operator(pg_catalog.=) 'ordo_owner'::name) then
        execute pg_catalog.format('alter table %I owner to ordo_projector', name);
        execute pg_catalog.format('grant select on %I to ordo_reader', name);
    end if;
end
$$;

create or replace function index_read_model(name text) returns void language plpgsql as $$
begin
    -- Enough to sort the keys of some million items in memory.
    perform pg_catalog.set_config('maintenance_work_mem', '128MB', true);
    if not exists (select from pg_catalog.pg_constraint c
                    where c.conrelid operator(pg_catalog.=) pg_catalog.to_regclass(pg_catalog.quote_ident(name))::oid
                      and c.contype operator(pg_catalog.=) 'p'::"char") then
        execute pg_catalog.format('alter table %I add constraint %I primary key (pk, sk)', name, pg_catalog.concat(name, '_pkey'));
    end if;
    for nth in 1..3 loop
        execute pg_catalog.format('create index if not exists %2$I on %1$I (gsi%3$spk, gsi%3$ssk) where gsi%3$spk is not null',
                                  name, pg_catalog.concat(name, '_gsi', nth), nth);
    end loop;
end
$$;

create or replace function rename_read_model(old_name text, new_name text) returns void language plpgsql as $$
declare
    suffix text;
begin
    execute pg_catalog.format('alter table %I rename to %I', old_name, new_name);
    foreach suffix in array array['_pkey', '_gsi1', '_gsi2', '_gsi3'] loop
        execute pg_catalog.format('alter index %I rename to %I',
                                  pg_catalog.concat(old_name, suffix), pg_catalog.concat(new_name, suffix));
    end loop;
end
$$;
