-- The tables of read models belong to the owner of the schema. ordo_projector, whose replays make, rename and drop them, does so by these
-- functions, which run with the owner's rights. So it needs no right to create anything in the schema: whoever creates tables there can
-- create functions and operators too, and statements of other roles could run those instead of Postgres's own.
--
-- Therefore the functions take no other tables than those of read models, nobody runs them who is not granted them, and what they name
-- is looked for in Postgres's schema and in ours, and last among the caller's temporary objects.

-- Refuses a table that is not one of a read model.
create function check_read_model_table(name text) returns void language plpgsql as $$
begin
    if name is null or name !~ '^read_model_[a-z0-9_]+$'
       or name in ('read_model_tallies', 'read_model_previous', 'read_model_generations') then
        raise exception '% is no table of a read model', pg_catalog.quote_nullable(name) using errcode = 'invalid_parameter_value';
    end if;
end
$$;

-- A table of items without any index: quick to fill.
create or replace function create_read_model_items(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
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
        execute pg_catalog.format('grant select, insert, update, delete on %I to ordo_projector', name);
        execute pg_catalog.format('grant select on %I to ordo_reader', name);
    end if;
end
$$;

-- The indexes of such a table, those that are missing.
create or replace function index_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
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

create or replace function create_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform create_read_model_items(name);
    perform index_read_model(name);
end
$$;

-- Gives a table of items another name, and its indexes with it.
create or replace function rename_read_model(old_name text, new_name text) returns void language plpgsql security definer as $$
declare
    suffix text;
begin
    perform check_read_model_table(old_name);
    perform check_read_model_table(new_name);
    execute pg_catalog.format('alter table %I rename to %I', old_name, new_name);
    foreach suffix in array array['_pkey', '_gsi1', '_gsi2', '_gsi3'] loop
        execute pg_catalog.format('alter index %I rename to %I',
                                  pg_catalog.concat(old_name, suffix), pg_catalog.concat(new_name, suffix));
    end loop;
end
$$;

create function drop_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    execute pg_catalog.format('drop table if exists %I', name);
end
$$;

create function set_read_model_autovacuum(name text, enabled boolean) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    execute pg_catalog.format('alter table %I set (autovacuum_enabled = %s)', name, case when enabled then 'true' else 'false' end);
end
$$;

-- What the planner has to know of a table that was just filled.
create function analyze_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    execute pg_catalog.format('analyze %I', name);
end
$$;

do $$
declare
    signature text;
begin
    foreach signature in array array[
        'create_read_model_items(text)', 'index_read_model(text)', 'create_read_model(text)', 'rename_read_model(text, text)',
        'drop_read_model(text)', 'set_read_model_autovacuum(text, boolean)', 'analyze_read_model(text)'
    ] loop
        execute pg_catalog.format('alter function %I.%s set search_path = %1$I, pg_temp', pg_catalog.current_schema(), signature);
        execute pg_catalog.format('revoke execute on function %I.%s from public', pg_catalog.current_schema(), signature);
    end loop;
end
$$;
