-- Read models are items under keys, as DynamoDB has them. One table per read model, all of one shape; `ordo migrate`
-- calls this for every registered projection, and a rebuild makes its next table with it.
create function create_read_model(name text) returns void language plpgsql as $$
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
            item    json   not null,            -- what readers get
            primary key (pk, sk)
        )$ddl$, name);
    execute format('create index if not exists %I on %I (gsi1pk, gsi1sk) where gsi1pk is not null', name || '_gsi1', name);
    execute format('create index if not exists %I on %I (gsi2pk, gsi2sk) where gsi2pk is not null', name || '_gsi2', name);
    execute format('create index if not exists %I on %I (gsi3pk, gsi3sk) where gsi3pk is not null', name || '_gsi3', name);
end
$$;
