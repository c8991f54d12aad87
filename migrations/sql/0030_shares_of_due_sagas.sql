-- Mails that are due and everything else that is due are taken apart, so that neither has to be passed over to come to the other.
create index saga_work_due_mails on saga_work (saga, due_at) where step = 'notify_customer';
create index saga_work_due_others on saga_work (saga, due_at) where step <> 'notify_customer';
drop index saga_work_due;
