-- Roles: hotconfig_owner owns everything, hotconfig_editor writes the five tables, hotconfig_reader reads what is
-- published. They are cluster-wide: a second installation reuses them. Whoever may not create roles keeps the objects;
-- a superuser can run this file again later.
DO $$
DECLARE
    may_create boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
    may_grant  boolean := (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = @schema@);
    settings   text[] := ARRAY['config_profiles', 'config_ai_infra', 'config_genie_spaces', 'config_mlflow',
                               'config_prompts'];
    published  text[] := ARRAY['config_documents', 'config_state', 'config_history'];
    internal   text[] := ARRAY['config_dirty', 'config_sources'];
    granted    text;
    object     text;
BEGIN
    FOR object IN
        SELECT format('%I.%I(%s)', @schema@, proname, pg_get_function_identity_arguments(oid)) FROM pg_proc
        WHERE pronamespace = quote_ident(@schema@)::regnamespace AND proname = ANY (@functions@)
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', object);
    END LOOP;

    FOREACH granted IN ARRAY ARRAY['hotconfig_owner', 'hotconfig_editor', 'hotconfig_reader'] LOOP
        IF to_regrole(granted) IS NULL AND may_create THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', granted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- a migration of another database was faster
            END;
        END IF;
        IF to_regrole(granted) IS NULL THEN
            RAISE WARNING 'there is no role %, and % may not create it', granted, current_user;
        ELSIF may_grant THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', @schema@, granted);
        END IF;
    END LOOP;

    FOREACH granted IN ARRAY ARRAY['hotconfig_editor', 'hotconfig_reader'] LOOP
        CONTINUE WHEN to_regrole(granted) IS NULL;
        FOREACH object IN ARRAY published LOOP
            EXECUTE format('GRANT SELECT ON %I.%I TO %I', @schema@, object, granted);
        END LOOP;
        CONTINUE WHEN granted <> 'hotconfig_editor';
        FOREACH object IN ARRAY settings LOOP
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', @schema@, object, granted);
        END LOOP;
        EXECUTE format('GRANT SELECT ON %I.config_sources TO %I', @schema@, granted);
    END LOOP;

    IF to_regrole('hotconfig_owner') IS NOT NULL THEN
        BEGIN
            IF may_create AND NOT pg_has_role('hotconfig_owner', 'USAGE') THEN
                EXECUTE format('GRANT hotconfig_owner TO %I', current_user);
            END IF;
            IF may_grant THEN
                EXECUTE format('GRANT CREATE ON SCHEMA %I TO hotconfig_owner', @schema@);
            END IF;
            FOREACH object IN ARRAY settings || published || internal LOOP
                EXECUTE format('ALTER TABLE %I.%I OWNER TO hotconfig_owner', @schema@, object);
            END LOOP;
            FOR object IN
                SELECT format('%I.%I(%s)', @schema@, proname, pg_get_function_identity_arguments(oid)) FROM pg_proc
                WHERE pronamespace = quote_ident(@schema@)::regnamespace AND proname = ANY (@functions@)
            LOOP
                EXECUTE format('ALTER FUNCTION %s OWNER TO hotconfig_owner', object);
            END LOOP;
            EXECUTE format('ALTER TYPE %I.config_change OWNER TO hotconfig_owner', @schema@);
            -- Alembic's own, so that any member of the owner can migrate.
            EXECUTE format('ALTER TABLE IF EXISTS %I.hotconfig_alembic_version OWNER TO hotconfig_owner', @schema@);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'hotconfig''s tables stay with %, since they could not be given to hotconfig_owner: %',
                current_user, SQLERRM;
        END;
    END IF;
END
$$;
