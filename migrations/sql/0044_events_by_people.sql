-- What people did is found by an index of those events alone: those whose actor has the role of somebody who works for the shop or runs
-- the platform. What stands between the first two colons of metadata that this platform writes is the actor's role. It is read as text:
-- other writers may store JSON that Postgres accepts and can't read, and an index that fails would refuse their events.
--
-- Building the index keeps writers waiting. So it is built here where the log is short; elsewhere `ordo migrate` builds it afterwards,
-- beside the writers.
do $$
begin
    if not exists (select from events offset 100000) then
        create index if not exists events_by_people on events (global_position)
         where split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse');
    end if;
end
$$;
