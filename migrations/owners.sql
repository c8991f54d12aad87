-- The next statements that give an object of the schema $1 to ordo_owner; no row if all are its own. What has the owner of the events
-- is ours, so the events come last; and so are the tables of read models, which belonged to ordo_projector with earlier builds. What an
-- extension brought is not ours. To be run with nothing but pg_catalog in the search_path.
select statement
  from (select format(case when kind.read_model
                           then 'alter table %1$s owner to ordo_owner; '
                                'grant select, insert, update, delete on %1$s to ordo_projector; grant select on %1$s to ordo_reader'
                           else 'alter table %1$s owner to ordo_owner' end, c.oid::regclass) as statement,
               kind.read_model, c.relname = 'events' as last, c.relowner as owned_by, n.oid as schema, c.tableoid as catalog, c.oid
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         cross join lateral (
               select c.relkind = 'r' and c.relname like 'read\_model\_%'
                      and c.relname not in ('read_model_tallies', 'read_model_previous', 'read_model_generations') as read_model) as kind
         where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm')
        union all
        select format('alter function %s owner to ordo_owner', p.oid::regprocedure),
               false, false, p.proowner, n.oid, p.tableoid, p.oid
          from pg_proc p
          join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = $1 and p.prokind = 'f') as object
 where (owned_by = (select relowner from pg_class where relname = 'events' and relnamespace = object.schema)
        or read_model and pg_get_userbyid(owned_by) = 'ordo_projector')
   and pg_get_userbyid(owned_by) <> 'ordo_owner'
   and not exists (select from pg_depend d where d.classid = object.catalog and d.objid = object.oid and d.deptype = 'e')
 order by last, statement
 limit 1
