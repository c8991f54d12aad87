-- What became of the confirmation of an order that was cancelled has to be known. Earlier builds did not ask when the answer was lost:
-- the sagas look at those orders again. They do so in an hour: one of an earlier build that still runs would find nothing to do, and
-- forget them.
insert into saga_work (saga, order_id, step, due_at)
select 'order_fulfilment', cancelled.aggregate_id, 'notify_customer', now() + interval '1 hour'
  from events cancelled
 where cancelled.aggregate_type = 'order' and cancelled.event_type = 'OrderCancelled'
   and exists (select from events promised
                where promised.aggregate_type = 'order' and promised.aggregate_id = cancelled.aggregate_id
                  and promised.event_type = 'OrderConfirmed')
   and not exists (select from events told
                    where told.aggregate_type = 'order' and told.aggregate_id = cancelled.aggregate_id
                      and told.event_type in ('NotificationSent', 'NotificationFailed')
                      and told.payload -> told.event_type ->> 'template' = 'order-confirmed')
on conflict (saga, order_id) do nothing;
