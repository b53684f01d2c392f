-- The history: nobody changes it, and its owner may shorten it.

-- Editors and readers have no such privilege anyhow: this holds up its owner, and superusers.
CREATE FUNCTION @extschema@.config_history_append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('hotconfig.pruning', true) = 'yes' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'config_history is append-only' USING ERRCODE = 'insufficient_privilege',
        HINT = 'config_history_prune(before) removes what is old.';
END
$$;
CREATE TRIGGER config_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON @extschema@.config_history
FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.config_history_append_only();

-- Remove what is older than `before`; how many rows went. Of each document the last version before that time stays, so
-- that what it was since then, and the last of a deleted profile, can still be told. A profile is one document, whatever
-- its names were: kept under each name, an old row would be taken for what it was while it had a later one.
CREATE FUNCTION @extschema@.config_history_prune(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pruned bigint;
BEGIN
    IF before IS NULL THEN
        RAISE EXCEPTION 'before is null' USING ERRCODE = 'null_value_not_allowed',
            HINT = 'Give a time, such as now() - interval ''1 year''.';
    END IF;
    PERFORM set_config('hotconfig.pruning', 'yes', true);
    WITH old AS (
        SELECT id, version, max(version) OVER (PARTITION BY coalesce(profile_id::text, 'document ' || document)) AS last
        FROM @extschema@.config_history WHERE "timestamp" < before
    )
    DELETE FROM @extschema@.config_history h USING old WHERE h.id = old.id AND old.version < old.last;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    PERFORM set_config('hotconfig.pruning', '', true);
    RETURN pruned;
END
$$;
