-- Mails that were given up are found in the log, by the events that say so: few, and looked for at every look at the figures.
create index events_mails_given_up on events (global_position)
    where aggregate_type = 'order' and event_type = 'NotificationFailed';
