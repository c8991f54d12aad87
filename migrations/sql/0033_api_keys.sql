-- Credentials of programs, made by `ordo key create`. Whoever calls with one has its role.
create table api_keys (
    id           text        primary key,            -- 16 hexadecimal digits, part of the key itself; no secret
    secret_hash  bytea       not null check (octet_length(secret_hash) = 32),  -- SHA-256 over the whole key, which is kept nowhere
    role         text        not null,
    customer_id  text,                               -- whose orders it sees
    name         text,                               -- the subject of events and logs; without one, the id
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,                        -- null: never
    revoked_at   timestamptz,                        -- null: not revoked. A revoked key stays, so that its id is never another's
    last_used_at timestamptz,                        -- to the minute; null: never
    check ((role = 'customer') = (customer_id is not null))
);
-- Every process reads the valid keys every few seconds.
create index api_keys_valid on api_keys (created_at desc) where revoked_at is null;

comment on table api_keys is 'API keys by the hash of their secret.';
