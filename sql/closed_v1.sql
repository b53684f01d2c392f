-- What ALTER DEFAULT PRIVILEGES has granted on new tables, sequences and functions is not meant for these.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        WITH tables AS (
            SELECT oid FROM pg_class WHERE relnamespace = quote_ident(@schema@)::regnamespace AND relname IN (
                'config_profiles', 'config_ai_infra', 'config_genie_spaces', 'config_mlflow', 'config_prompts',
                'config_documents', 'config_state', 'config_history', 'config_dirty', 'config_sources')
        ), objects AS (
            SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS name,
                   relowner AS owner, relacl AS acl
            FROM pg_class c WHERE oid IN (TABLE tables) OR relkind = 'S' AND oid IN (
                SELECT objid FROM pg_depend WHERE refobjid IN (TABLE tables) AND deptype IN ('a', 'i'))
            UNION ALL
            SELECT 'FUNCTION', oid::regprocedure::text, proowner, proacl FROM pg_proc
            WHERE pronamespace = quote_ident(@schema@)::regnamespace AND proname = ANY (@functions@)
        )
        SELECT DISTINCT kind, name, grantee FROM objects, aclexplode(acl) WHERE grantee NOT IN (owner, 0)
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', granted.kind, granted.name, granted.grantee::regrole);
    END LOOP;
END
$$;
