-- Whether the role may make tables, and whether it owns those that it works on,
-- as superusers own all.
SELECT current_user::text, coalesce(current_schema()::text, ''),
       coalesce(has_schema_privilege(current_schema()::text, 'CREATE'), false),
       coalesce((SELECT bool_or(pg_has_role(c.relowner, 'USAGE')) FROM pg_class c
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relname = 'ledger_accounts' AND n.nspname = current_schema()), false)
