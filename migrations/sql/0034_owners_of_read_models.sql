-- Where the database uses the group roles (`ordo migrate --roles`), the tables of read models belong to ordo_projector: a replay
-- makes, renames and drops them, whichever login user it runs under.
create or replace function create_read_model_items(name text) returns void language plpgsql as $$
begin
    -- "C": keys sort by their bytes, as DynamoDB sorts them, whatever the database's locale.
    execute format($ddl$
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
    if exists (select from pg_class where oid = 'events'::regclass and pg_get_userbyid(relowner) = 'ordo_owner') then
        execute format('alter table %I owner to ordo_projector', name);
        execute format('grant select on %I to ordo_reader', name);
    end if;
end
$$;
