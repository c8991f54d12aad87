-- Where a copy of a subscriber stands still because of an event, or a version of one, that its build does not know: for
-- operators to see. It goes on by itself once a build runs that knows the event. A row tells of the past as soon as its
-- partition has come to waits_from.
create table stopped_subscriptions (
    subscription  text        not null,               -- whose: 'orders'
    partition     smallint    not null,               -- of its partitions the one that can't go on; the copy's others wait with it
    waits_from    bigint      not null,               -- position of the first event of the partition that was not handled
    position      bigint      not null,               -- of the event that is not known: that one, or a later one of its stream
    stream_id     text        not null,               -- the stream that has it
    event_type    text        not null,
    event_version text        not null,
    error         text        not null,               -- what was not understood
    since         timestamptz not null default now(), -- when it was first met
    tried_at      timestamptz not null default now(), -- when it was last met
    primary key (subscription, partition)
);
