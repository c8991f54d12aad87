-- How long customers have been waiting for their mails is asked every second, also when a million of them do.
create index saga_work_waiting on saga_work (step, since) where not stuck;
