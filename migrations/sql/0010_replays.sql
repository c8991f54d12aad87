-- Rebuilding read models: a next generation is filled without indexes, gets them, catches up, and takes the live one's place,
-- which is kept as the previous one. They are tables beside each other: NAME, NAME_next, NAME_previous.

-- A table of items without any index: quick to fill.
create function create_read_model_items(name text) returns void language plpgsql as $$
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
end
$$;

-- The indexes of such a table, those that are missing.
create function index_read_model(name text) returns void language plpgsql as $$
begin
    -- Enough to sort the keys of some million items in memory.
    perform set_config('maintenance_work_mem', '128MB', true);
    if not exists (select from pg_constraint where conrelid = to_regclass(quote_ident(name)) and contype = 'p') then
        execute format('alter table %I add constraint %I primary key (pk, sk)', name, name || '_pkey');
    end if;
    execute format('create index if not exists %I on %I (gsi1pk, gsi1sk) where gsi1pk is not null', name || '_gsi1', name);
    execute format('create index if not exists %I on %I (gsi2pk, gsi2sk) where gsi2pk is not null', name || '_gsi2', name);
    execute format('create index if not exists %I on %I (gsi3pk, gsi3sk) where gsi3pk is not null', name || '_gsi3', name);
end
$$;

create or replace function create_read_model(name text) returns void language plpgsql as $$
begin
    perform create_read_model_items(name);
    perform index_read_model(name);
end
$$;

-- Gives a table of items another name, and its indexes with it.
create function rename_read_model(old_name text, new_name text) returns void language plpgsql as $$
declare
    suffix text;
begin
    execute format('alter table %I rename to %I', old_name, new_name);
    foreach suffix in array array['_pkey', '_gsi1', '_gsi2', '_gsi3'] loop
        execute format('alter index %I rename to %I', old_name || suffix, new_name || suffix);
    end loop;
end
$$;

-- Two objects of whole numbers, added number by number; written as the program writes them, so that equal is equal.
create function add_tallies(one json, other json) returns json language sql immutable as $$
    select ('{' || string_agg(to_json(name) || ':' || total, ',' order by name collate "C") || '}')::json
      from (select key as name, sum(value::bigint)::bigint as total
              from (select * from json_each_text(one) union all select * from json_each_text(other)) as both_of_them
             group by key) as totals
$$;

-- What a next generation that is being filled still has to add up: a row for each part of the log that was folded.
create table read_model_tallies (
    read_model text   collate "C" not null, -- whose: 'sales'
    pk         text   collate "C" not null, -- of the item that it will be
    sk         text   collate "C" not null,
    version    bigint not null,             -- the log position that changed it last
    add        json   not null              -- what it adds: an object of whole numbers
);
create index read_model_tallies_of on read_model_tallies (read_model);

-- The generations that were replaced last, and are kept to go back to.
create table read_model_previous (
    read_model text        primary key,
    position   bigint      not null,               -- everything up to here is in it
    since      timestamptz not null default now()  -- when it was replaced
);

-- Replays that are not over, so that they go on after a crash, and the last of those that are.
create table replays (
    id           uuid        primary key,                       -- UUIDv7
    projections  text[]      not null,                          -- which read models it rebuilds
    build        text        not null,                          -- by which code it folds: another one begins anew
    compares     boolean     not null,                          -- whether it looks for differences before it changes places
    phase        text        not null check (phase in ('folding', 'indexing', 'catching-up', 'different', 'done')),
    horizon      bigint      not null,                          -- stream by stream it folds events up to here
    events_total bigint      not null,                          -- how many those are
    events       bigint      not null default 0,                -- how many events it has folded
    stream_type  text        not null default '',               -- the last stream that it has folded whole
    stream_id    text        not null default '',
    position     bigint      not null,                          -- everything up to here is in the next generations
    swapped      text[]      not null default '{}',             -- those that have taken the live one's place already
    comparison   json,                                          -- what came of looking for differences
    cancelling   boolean     not null default false,            -- whoever works on it is asked to stop and clean up
    error        text,                                          -- why it stopped, the last time it did
    began_at     timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    working      interval    not null default '0'               -- how long it was worked on
);
create index replays_open on replays (began_at) where phase <> 'done';
