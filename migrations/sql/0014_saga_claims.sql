-- Rows are written and removed only by those who know at least as much of the order, and are worked on under claims that run out,
-- so that no row is locked while anybody outside is asked.
alter table saga_work
    add column seen          bigint not null default 0,  -- the order's version that whoever wrote the row knew
    add column claimed_by    uuid,                       -- who is at work on it
    add column claimed_until timestamptz;                -- until then nobody else looks at it, by this database's clock

-- Each saga's rows are looked for by themselves: those of a saga that a build does not know are in nobody's way.
drop index saga_work_due;
create index saga_work_due on saga_work (saga, due_at);

-- What is stuck is stuck by what its order is now.
update saga_work w
   set seen = coalesce((select max(sequence) from events e
                         where e.aggregate_type = 'order' and e.aggregate_id = w.order_id), 0)
 where stuck;

-- Units go back before the provider is asked to let go of the money. Orders that keep theirs because the provider does not are
-- looked at again for that.
update saga_work set stuck = false, due_at = now() where stuck and step = 'void_payment';
