-- Profiles: their documents, their guards, and what the database keeps by itself.

CREATE FUNCTION @extschema@.config_profile_documents(ids integer[])
RETURNS TABLE (id integer, name text, document jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT p.id, 'profile/' || p.name,
           jsonb_build_object('profile', jsonb_build_object(
               'id', p.id, 'name', p.name, 'description', coalesce(p.description, ''), 'is_default', p.is_default))
           || CASE WHEN a.id IS NULL THEN '{}' ELSE jsonb_build_object('ai_infra', jsonb_build_object(
               'llm_endpoint', a.llm_endpoint, 'llm_temperature', a.llm_temperature,
               'llm_max_tokens', a.llm_max_tokens)) END
           || CASE WHEN g.id IS NULL THEN '{}' ELSE jsonb_build_object('genie', jsonb_build_object(
               'space_id', g.space_id, 'space_name', g.space_name, 'description', coalesce(g.description, ''))) END
           || CASE WHEN m.id IS NULL THEN '{}' ELSE jsonb_build_object('mlflow', jsonb_build_object(
               'experiment_name', m.experiment_name)) END
           || CASE WHEN t.id IS NULL THEN '{}' ELSE jsonb_build_object('prompts', jsonb_build_object(
               'system_prompt', t.system_prompt, 'slide_editing_instructions', t.slide_editing_instructions,
               'user_prompt_template', t.user_prompt_template)) END
    FROM @extschema@.config_profiles p
    LEFT JOIN @extschema@.config_ai_infra a ON a.profile_id = p.id
    LEFT JOIN @extschema@.config_genie_spaces g ON g.profile_id = p.id
    LEFT JOIN @extschema@.config_mlflow m ON m.profile_id = p.id
    LEFT JOIN @extschema@.config_prompts t ON t.profile_id = p.id
    WHERE p.id = ANY (ids);
END;

-- The document of the default profile, null if there is none, or an error that says what is wrong with the profiles.
-- Called at commit under the lock of config_state, hence race-free, with the documents of all that claim to be it.
CREATE FUNCTION @extschema@.config_default_document(defaults jsonb[]) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    named   text;
    missing text;
BEGIN
    IF cardinality(defaults) > 1 THEN
        SELECT string_agg(d #>> '{profile,name}', '", "' ORDER BY d #>> '{profile,name}') FROM unnest(defaults) d INTO named;
        RAISE EXCEPTION 'only one profile can be the default one, not "%"', named USING ERRCODE = 'unique_violation',
            HINT = 'Switch in one statement: UPDATE config_profiles SET is_default = (name = ''...'').';
    ELSIF NOT defaults[1] ?& ARRAY['ai_infra', 'genie', 'mlflow', 'prompts'] THEN
        SELECT string_agg(s.settings, ', ' ORDER BY s.settings)
        FROM (VALUES ('ai_infra', 'config_ai_infra'), ('genie', 'config_genie_spaces'), ('mlflow', 'config_mlflow'),
                     ('prompts', 'config_prompts')) AS s (domain, settings)
        WHERE NOT defaults[1] ? s.domain INTO missing;
        RAISE EXCEPTION 'the default profile "%" would be left without its row in %',
            defaults[1] #>> '{profile,name}', missing
            USING ERRCODE = 'check_violation', HINT = 'Insert what is missing in the same transaction.';
    END IF;
    RETURN defaults[1];
END
$$;

CREATE FUNCTION @extschema@.config_keep_default() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT OLD.is_default THEN
            RETURN OLD;
        END IF;
        named := OLD.name;
    ELSE
        SELECT name FROM @extschema@.config_profiles WHERE is_default INTO named;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION 'profile "%" is the default one and cannot be deleted', named USING ERRCODE = 'restrict_violation',
        HINT = 'Make another one the default first: UPDATE config_profiles SET is_default = (name = ''...'').';
END
$$;
CREATE TRIGGER config_keep_default BEFORE DELETE ON @extschema@.config_profiles
FOR EACH ROW EXECUTE FUNCTION @extschema@.config_keep_default();
CREATE TRIGGER config_keep_default_truncate BEFORE TRUNCATE ON @extschema@.config_profiles
FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.config_keep_default();

CREATE FUNCTION @extschema@.config_stamp() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE FUNCTION @extschema@.config_stamp_profile() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.updated_at := now();
    NEW.updated_by := left(coalesce(nullif(current_setting('hotconfig.actor', true), ''), session_user), 255);
    RETURN NEW;
END
$$;

DO $$
DECLARE
    settings text;
BEGIN
    FOREACH settings IN ARRAY ARRAY['config_profiles', 'config_ai_infra', 'config_genie_spaces', 'config_mlflow',
                                    'config_prompts'] LOOP
        -- Only if something changes: an UPDATE that changes nothing must stay one that changes nothing.
        EXECUTE format('CREATE TRIGGER config_stamp BEFORE UPDATE ON %I.%I FOR EACH ROW '
                       'WHEN (OLD.* OPERATOR(pg_catalog.*<>) NEW.*) EXECUTE FUNCTION %I.%I()', @schema@, settings,
                       @schema@, CASE settings WHEN 'config_profiles' THEN 'config_stamp_profile' ELSE 'config_stamp' END);
        PERFORM @extschema@.config_install_triggers(format('%I.%I', @schema@, settings)::regclass, 'config_mark',
            'config_mark_profile', CASE settings WHEN 'config_profiles' THEN 'id' ELSE 'profile_id' END, NULL);
        INSERT INTO @extschema@.config_sources (schema, "table", document, function)
        VALUES (@schema@, settings, 'profile/*', 'config_profile_documents');
    END LOOP;
END
$$;
