-- An item of a read model may have words by which it is found, beside its keys.
--
-- The tables that there are get the column and no index: their items were written without words, and a list by words has to say so
-- until a replay has made the next table.
do $$
declare
    item   record;
    before text := pg_catalog.current_setting('lock_timeout');
begin
    -- All tables at once or none: whoever waits for one has readers wait behind it, and would hold the others meanwhile.
    perform pg_catalog.set_config('lock_timeout', '300ms', true);
    for tries_left in reverse 99..0 loop
        begin
            for item in select c.relname
                          from pg_catalog.pg_class c
                          join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
                         where n.nspname operator(pg_catalog.=) pg_catalog.current_schema() and c.relkind operator(pg_catalog.=) 'r'
                           and c.relname ~ '^read_model_[a-z0-9_]+$'
                           and c.relname not in ('read_model_tallies', 'read_model_previous', 'read_model_generations')
            loop
                execute pg_catalog.format('alter table %I add column if not exists words tsvector', item.relname);
            end loop;
            exit;
        exception when lock_not_available then
            if tries_left operator(pg_catalog.=) 0 then
                raise;
            end if;
        end;
        perform pg_catalog.pg_sleep(1);
    end loop;
    perform pg_catalog.set_config('lock_timeout', before, true);
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
            item    json   not null,            -- what readers get
            words   tsvector                    -- words by which it is found; null: there are none
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
    -- What comes in waits in a list of 256 kB, which every search reads, until it is sorted into the index.
    execute pg_catalog.format('create index if not exists %2$I on %1$I using gin (words) with (gin_pending_list_limit = 256) '
                              'where words is not null', name, pg_catalog.concat(name, '_words'));
end
$$;

-- A table that is there stays as it is: items of an earlier build have no words.
create or replace function create_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    if pg_catalog.to_regclass(pg_catalog.quote_ident(name)) is null then
        perform create_read_model_items(name);
        perform index_read_model(name);
    end if;
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
    foreach suffix in array array['_pkey', '_gsi1', '_gsi2', '_gsi3', '_words'] loop
        execute pg_catalog.format('alter index if exists %I rename to %I',
                                  pg_catalog.concat(old_name, suffix), pg_catalog.concat(new_name, suffix));
    end loop;
end
$$;

do $$
declare
    signature text;
begin
    foreach signature in array array[
        'create_read_model_items(text)', 'index_read_model(text)', 'create_read_model(text)', 'rename_read_model(text, text)'
    ] loop
        execute pg_catalog.format('alter function %I.%s set search_path = %1$I, pg_temp', pg_catalog.current_schema(), signature);
    end loop;
end
$$;
