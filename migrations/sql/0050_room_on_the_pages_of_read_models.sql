-- An order is written several times within seconds. Where its page has room for its next version, and no key of an index changes, no index
-- is touched. So what is written to a live read model fills half of each page, and the other half is for later versions.
--
-- What a replay writes in bulk still fills its pages: most of that changes no more. A table keeps room from the time on when it is renamed.

-- A table that is there stays as it is: items of an earlier build have no words.
create or replace function create_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    if pg_catalog.to_regclass(pg_catalog.format('%I.%I', pg_catalog.current_schema(), name)) is null then
        perform create_read_model_items(name);
        execute pg_catalog.format('alter table %I set (fillfactor = 50)', name);
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
    execute pg_catalog.format('alter table %I set (fillfactor = 50)', new_name);
    foreach suffix in array array['_pkey', '_gsi1', '_gsi2', '_gsi3', '_words'] loop
        execute pg_catalog.format('alter index if exists %I rename to %I',
                                  pg_catalog.concat(old_name, suffix), pg_catalog.concat(new_name, suffix));
    end loop;
end
$$;

do $$
declare
    signature text;
    item      record;
begin
    foreach signature in array array['create_read_model(text)', 'rename_read_model(text, text)'] loop
        execute pg_catalog.format('alter function %I.%s set search_path = %1$I, pg_temp', pg_catalog.current_schema(), signature);
    end loop;
    -- The pages that are there stay as they are. Nobody who reads or writes waits for this.
    for item in select c.relname
                  from pg_catalog.pg_class c
                  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
                 where n.nspname operator(pg_catalog.=) pg_catalog.current_schema() and c.relkind operator(pg_catalog.=) 'r'
                   and c.relname ~ '^read_model_[a-z0-9_]+$' and c.relname !~ '_(next|previous|aside)$'
                   and c.relname not in ('read_model_tallies', 'read_model_generations')
                 order by c.relname
    loop
        execute pg_catalog.format('alter table %I set (fillfactor = 50)', item.relname);
    end loop;
end
$$;
