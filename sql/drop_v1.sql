-- The way back. Without CASCADE: tables of yours that are still watched make it fail and are named.
-- Roles stay, since another database of the cluster may use them.
DROP FUNCTION @extschema@.config_profile_documents, @extschema@.config_mark, @extschema@.config_build_documents,
    @extschema@.config_mark_document, @extschema@.config_watched, @extschema@.config_trigger_names;
DROP TABLE @extschema@.config_ai_infra, @extschema@.config_genie_spaces, @extschema@.config_mlflow,
    @extschema@.config_prompts, @extschema@.config_profiles, @extschema@.config_history, @extschema@.config_state,
    @extschema@.config_documents, @extschema@.config_dirty, @extschema@.config_sources;
DO $$
DECLARE
    object text;
BEGIN
    FOR object IN
        SELECT format('%I.%I(%s)', @schema@, proname, pg_get_function_identity_arguments(oid)) FROM pg_proc
        WHERE pronamespace = quote_ident(@schema@)::regnamespace AND proname = ANY (@functions@)
    LOOP
        EXECUTE format('DROP FUNCTION %s', object);
    END LOOP;
END
$$;
DROP TYPE @extschema@.config_change;
