-- Builds before roles stored who decided about a saga without a role: such a decision is known by its type. The index of what people did
-- has them, too, and so is another one. As before, it is built here where the log is short. Elsewhere `ordo migrate` builds it beside the
-- writers, and then drops the earlier one.
do $$
begin
    if not exists (select from events offset 100000) then
        create index if not exists events_of_people on events (global_position)
         where split_part(metadata::text, ':', 2) in ('"operator', '"support', '"finance', '"warehouse')
            or event_type = 'OperatorIntervened';
        drop index if exists events_by_people;
    end if;
end
$$;
