-- Publish at commit: from a changed row to one version, its history and one notification.
--
--   row changes -> config_mark_*() -> config_dirty -> (commit) config_at_commit() -> config_publish_marked()
--
-- Names of ours are qualified, and every function that others call fixes the search_path: otherwise an editor could
-- capture a call, and a logical replication worker would crash for ever. None has a default argument: who may create
-- functions in this schema could add one that makes the call ambiguous.

CREATE FUNCTION @extschema@.config_mark(source text, document jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO @extschema@.config_dirty AS mark (txid, source, document)
    VALUES (pg_catalog.pg_current_xact_id(), config_mark.source, config_mark.document)
    ON CONFLICT (txid, source) DO UPDATE SET document = excluded.document
    WHERE mark.document IS DISTINCT FROM excluded.document;
END;

CREATE FUNCTION @extschema@.config_mark_document() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@.config_mark('document ' || TG_ARGV[0], NULL::jsonb);
    RETURN NULL;
END
$$;

-- The one argument names the column that holds the profile's id. In a cascade the parent row is already gone: ids come
-- from OLD. A row that moves between profiles marks both.
CREATE FUNCTION @extschema@.config_mark_profile() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was integer;
    is_ integer;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM @extschema@.config_mark('profiles'::text, NULL::jsonb);
        RETURN NULL;
    END IF;
    IF TG_ARGV[0] = 'id' THEN
        was := OLD.id;
        is_ := NEW.id;
    ELSE
        was := OLD.profile_id;
        is_ := NEW.profile_id;
    END IF;
    IF was IS NOT NULL THEN
        PERFORM @extschema@.config_mark('profile ' || was, NULL::jsonb);
    END IF;
    IF is_ IS DISTINCT FROM was AND is_ IS NOT NULL THEN
        PERFORM @extschema@.config_mark('profile ' || is_, NULL::jsonb);
    END IF;
    RETURN NULL;
END
$$;

-- In two steps: the mark '!' is queued behind every other deferred trigger of the transaction, so that the lock below
-- is taken last. With one step editors with deferred foreign keys deadlocked.
CREATE FUNCTION @extschema@.config_at_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.source = '!' THEN
        PERFORM @extschema@.config_publish_marked();
    ELSE
        PERFORM @extschema@.config_mark('!'::text, NULL::jsonb);
    END IF;
    RETURN NULL;
END
$$;

-- The difference of two documents, a row for each top-level key (the domain) that differs. An object is compared field
-- by field; any other value stands under the empty field name. The empty document has no key to tell that it came or
-- went: that stands under the empty field of the empty domain.
CREATE FUNCTION @extschema@.config_difference(old jsonb, new jsonb)
RETURNS TABLE (domain text, action text, changes jsonb)
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(o.key, n.key),
           CASE WHEN o.key IS NULL THEN 'create' WHEN n.key IS NULL THEN 'delete' ELSE 'update' END,
           f.changes
    FROM jsonb_each(old) o FULL JOIN jsonb_each(new) n ON n.key = o.key,
         LATERAL (SELECT coalesce(jsonb_typeof(o.value), 'object') = 'object'
                     AND coalesce(jsonb_typeof(n.value), 'object') = 'object') AS both_ (objects),
         LATERAL (SELECT coalesce(jsonb_object_agg(coalesce(a.key, b.key), jsonb_build_object(
                             'old', a.value, 'new', b.value)), '{}')
                  FROM jsonb_each(CASE WHEN both_.objects THEN o.value ELSE jsonb_build_object('', o.value) END) a
                  FULL JOIN jsonb_each(CASE WHEN both_.objects THEN n.value ELSE jsonb_build_object('', n.value) END) b
                       ON b.key = a.key
                  WHERE a.value IS DISTINCT FROM b.value) AS f (changes)
    WHERE o.value IS DISTINCT FROM n.value
    UNION ALL
    SELECT '', CASE WHEN old IS NULL THEN 'create' ELSE 'delete' END,
           jsonb_build_object('', jsonb_build_object('old', old, 'new', new))
    WHERE coalesce(old, new) = '{}' AND (old IS NULL OR new IS NULL)
$$;

-- The one pass that makes a version of everything this transaction has marked. Documents must not depend on the
-- session that happens to commit: its settings are pinned. enable_seqscan is off since the plans live as long as the
-- session: one that was made for empty tables would scan them when there are 10,000 profiles (experiments/publish.py).
CREATE FUNCTION @extschema@.config_publish_marked() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off AS $$
DECLARE
    expected jsonb := nullif(current_setting('hotconfig.expect_version', true), '');
    state    record;
    marked   record;
    defaults jsonb[];                             -- documents of all that claim to be the default profile
    active   jsonb;                               -- of the one that is
    own      jsonb := '{}';                       -- documents that are not profiles, by name
    changes  @extschema@.config_change[] := '{}';
    left_    text[] := '{}';                      -- names that a profile had and has no longer
    changed  bigint;
BEGIN
    -- An UPDATE and not only a lock, even if nothing turns out to differ: an editor in REPEATABLE READ who has not
    -- seen this transaction then gets 40001 instead of publishing a document without its edit.
    UPDATE @extschema@.config_state SET version = version
    RETURNING version, token,
              txid IS NOT DISTINCT FROM pg_current_xact_id() AND began IS NOT DISTINCT FROM transaction_timestamp() AS ours,
              EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = config_state.tableoid) AS replicated
    INTO STRICT state;
    IF state.replicated THEN
        RAISE EXCEPTION 'configuration is replicated to this server from another one'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Edit it there.';
    END IF;

    -- Without the DELETE an edit after SET CONSTRAINTS ALL IMMEDIATE would find its mark already there, and be lost.
    WITH taken AS (
        DELETE FROM @extschema@.config_dirty WHERE txid = pg_current_xact_id() RETURNING source, document
    )
    SELECT array_agg(substr(source, 9)::integer) FILTER (WHERE source LIKE 'profile %') AS profiles,
           coalesce(bool_or(source = 'profiles'), false) AS all_profiles,
           array_agg(substr(source, 10)) FILTER (WHERE source LIKE 'document %' AND document IS NULL) AS watched,
           jsonb_object_agg(substr(source, 10), document) FILTER (WHERE document IS NOT NULL) AS given
    FROM taken INTO marked;

    IF expected IS NOT NULL AND NOT state.ours THEN
        PERFORM @extschema@.config_check_expected(expected);
    END IF;
    IF NOT state.ours THEN
        state.version := state.version + 1;
        state.token := gen_random_uuid();
    END IF;

    IF marked.all_profiles THEN
        marked.profiles := ARRAY(
            SELECT id FROM @extschema@.config_profiles
            UNION SELECT (profile ->> 'id')::integer FROM @extschema@.config_documents WHERE profile IS NOT NULL);
    END IF;
    IF marked.profiles IS NOT NULL THEN
        marked.profiles := marked.profiles || ARRAY(SELECT id FROM @extschema@.config_profiles WHERE is_default);
        -- By id and not by name, so that a rename or a swap of two names says what really happened.
        SELECT coalesce(array_agg((coalesce(n.id, o.id), coalesce(n.name, o.name), o.document, n.document)::@extschema@.config_change)
                        FILTER (WHERE o.document IS DISTINCT FROM n.document), '{}'),
               coalesce(array_agg(o.name) FILTER (WHERE o.name IS NOT NULL AND o.name IS DISTINCT FROM n.name), '{}'),
               array_agg(n.document) FILTER (WHERE n.document #> '{profile,is_default}' = 'true')
        FROM @extschema@.config_profile_documents(marked.profiles) n
        FULL JOIN (SELECT (profile ->> 'id')::integer AS id, name, document FROM @extschema@.config_documents
                   WHERE profile IS NOT NULL AND (profile ->> 'id')::integer = ANY (marked.profiles)) o
             ON o.id = n.id
        INTO changes, left_, defaults;
        active := @extschema@.config_default_document(defaults);
    END IF;
    IF marked.watched IS NOT NULL OR marked.given IS NOT NULL THEN
        own := @extschema@.config_build_documents(marked.watched) || coalesce(marked.given, '{}');
        changes := changes || ARRAY(
            SELECT (NULL, w.name, d.document, nullif(w.document, 'null'))::@extschema@.config_change
            FROM jsonb_each(own) AS w (name, document) LEFT JOIN @extschema@.config_documents d ON d.name = w.name
            WHERE d.document IS DISTINCT FROM nullif(w.document, 'null'));
    END IF;

    INSERT INTO @extschema@.config_documents AS d (name, version, token, document)
    SELECT w.name, state.version, state.token, w.document FROM (
        SELECT name, new FROM unnest(changes) WHERE new IS NOT NULL OR profile_id IS NULL
        UNION ALL    -- a name that nobody took over keeps a tombstone
        (SELECT unnest(left_), NULL::jsonb EXCEPT ALL SELECT name, NULL FROM unnest(changes) WHERE new IS NOT NULL)
        UNION ALL
        SELECT 'active', active WHERE marked.profiles IS NOT NULL
            AND (active IS NOT NULL OR EXISTS (SELECT FROM @extschema@.config_documents WHERE name = 'active'))
    ) AS w (name, document)
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, token = excluded.token, document = excluded.document
    WHERE d.document IS DISTINCT FROM excluded.document;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed = 0 THEN
        RETURN;
    END IF;

    INSERT INTO @extschema@.config_history (version, profile_id, document, domain, action, changed_by, note,
        db_user, application_name, changes, snapshot, "timestamp")
    SELECT state.version, c.profile_id, c.name, d.domain,
           CASE WHEN c.profile_id IS NOT NULL AND d.domain = 'profile' AND d.action = 'update'
                     AND d.changes #>> '{is_default,new}' = 'true' THEN 'activate' ELSE d.action END,
           left(coalesce(nullif(current_setting('hotconfig.actor', true), ''), session_user), 255),
           nullif(current_setting('hotconfig.note', true), ''), session_user,
           current_setting('application_name'), d.changes, coalesce(c.new, c.old), clock_timestamp()
    FROM unnest(changes) c, @extschema@.config_difference(c.old, c.new) AS d
    ORDER BY c.new IS NOT NULL, c.name, d.domain;  -- a name that is reused ends with its new document

    UPDATE @extschema@.config_state SET version = state.version, token = state.token,
                                        txid = pg_current_xact_id(), began = transaction_timestamp();
    PERFORM pg_notify(@channel@, state.version::text);
END
$$;

-- hotconfig.expect_version holds {"document": version}, the versions that the edit was based on.
CREATE FUNCTION @extschema@.config_check_expected(expected jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    conflict record;
BEGIN
    SELECT e.key AS name, e.value AS wanted, d.version AS found
    FROM jsonb_each_text(expected) e LEFT JOIN @extschema@.config_documents d ON d.name = e.key
    WHERE d.version IS DISTINCT FROM e.value::bigint ORDER BY e.key LIMIT 1 INTO conflict;
    IF FOUND THEN
        RAISE EXCEPTION 'document "%" is at version %, not at %', conflict.name,
            coalesce(conflict.found::text, 'none'), conflict.wanted
            USING ERRCODE = 'HC001', HINT = 'Somebody else was faster: look at their change and edit again.';
    END IF;
END
$$;

-- Publish again, at commit, whatever differs from its tables: after a restore of data only, DISABLE TRIGGER,
-- session_replication_role = replica, or an ALTER TABLE that rewrote rows. A document that cannot be built stays as it
-- is, with a warning: it is no reason to leave the others behind.
CREATE FUNCTION @extschema@.config_touch() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own  text;
    what text;
    way  text;
BEGIN
    PERFORM @extschema@.config_mark('profiles'::text, NULL::jsonb);
    FOR own IN SELECT DISTINCT document FROM @extschema@.config_sources
               WHERE document <> 'profile/*'
                 AND EXISTS (SELECT FROM pg_trigger WHERE tgname = @extschema@.config_trigger_name(document))  -- not dropped
    LOOP
        BEGIN
            PERFORM @extschema@.config_build_document(own);
            PERFORM @extschema@.config_mark('document ' || own, NULL::jsonb);
        EXCEPTION WHEN query_canceled OR serialization_failure OR deadlock_detected THEN
            RAISE;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS what = MESSAGE_TEXT, way = PG_EXCEPTION_HINT;
            RAISE WARNING '%', what USING HINT = way;
        END;
    END LOOP;
END
$$;

CREATE CONSTRAINT TRIGGER config_at_commit AFTER INSERT ON @extschema@.config_dirty
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION @extschema@.config_at_commit();
