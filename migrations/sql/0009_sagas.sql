-- Sagas that can get stuck, and several of them on one order.
alter table saga_work
    add column since timestamptz not null default now(),  -- since when it has been at this step, whatever was tried
    add column stuck boolean     not null default false;  -- it is not tried again by itself: an operator has to decide

-- What was called by other names until now.
update saga_work set step = 'notify_customer' where step = 'notify';
update saga_work set step = 'confirm_order' where step = 'confirm';

-- The due time comes first: all sagas are looked at together. A row that is stuck is due at infinity, or when units that
-- are set aside for it have to go back.
drop index saga_work_due;
create index saga_work_due on saga_work (due_at);
create index saga_work_stuck on saga_work (since) where stuck;
