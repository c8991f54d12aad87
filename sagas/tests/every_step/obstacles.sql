-- What is in the way of appends: events of these types are refused, or hang until the lock is free, which it never is.
create table obstacles (event_type text primary key, hangs boolean not null);

create function meet_obstacles() returns trigger language plpgsql as $$
declare
    obstacle_hangs boolean;
begin
    select hangs into obstacle_hangs from obstacles where event_type = new.event_type;
    if obstacle_hangs then
        perform pg_advisory_xact_lock(4242);
    elsif found then
        raise exception '% is in the way', new.event_type;
    end if;
    return new;
end
$$;

create trigger meet_obstacles before insert on events for each row execute function meet_obstacles();
