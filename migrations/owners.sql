-- The next statement that gives an object of the schema $1 to its owner; no row if all have theirs. What has the owner of the events
-- is ours, so the events come last. What an extension brought is not ours. To be run with nothing but pg_catalog in the search_path.
select statement
  from (select format('alter table %s owner to %I', c.oid::regclass, wanted.owner) as statement,
               c.relname = 'events' as last, c.relowner as owned_by, wanted.owner, n.oid as schema, c.tableoid as catalog, c.oid
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         cross join lateral (
               select case when c.relname like 'read\_model\_%'
                            and c.relname not in ('read_model_tallies', 'read_model_previous', 'read_model_generations')
                           then 'ordo_projector' else 'ordo_owner' end as owner) as wanted
         where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm')
        union all
        select format('alter function %s owner to ordo_owner', p.oid::regprocedure),
               false, p.proowner, 'ordo_owner', n.oid, p.tableoid, p.oid
          from pg_proc p
          join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = $1 and p.prokind = 'f') as object
 where owned_by = (select relowner from pg_class where relname = 'events' and relnamespace = object.schema)
   and pg_get_userbyid(owned_by) <> object.owner
   and not exists (select from pg_depend d where d.classid = object.catalog and d.objid = object.oid and d.deptype = 'e')
 order by last, statement
 limit 1
