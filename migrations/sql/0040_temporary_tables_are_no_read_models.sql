-- A temporary table of the caller is not taken for the table of a read model: what is there is looked for in our schema alone.

-- A table that is there stays as it is: items of an earlier build have no words.
create or replace function create_read_model(name text) returns void language plpgsql security definer as $$
begin
    perform check_read_model_table(name);
    if pg_catalog.to_regclass(pg_catalog.format('%I.%I', pg_catalog.current_schema(), name)) is null then
        perform create_read_model_items(name);
        perform index_read_model(name);
    end if;
end
$$;

do $$
begin
    execute pg_catalog.format('alter function %I.create_read_model(text) set search_path = %1$I, pg_temp', pg_catalog.current_schema());
end
$$;
