-- Documents of your own: published directly, or built from watched tables by a function of yours.

CREATE FUNCTION @extschema@.config_install_triggers(watched regclass, name text, function text, argument text,
                                                    columns text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    differs text := 'OLD.* OPERATOR(pg_catalog.*<>) NEW.*';  -- <> would fail on json columns
BEGIN
    IF columns IS NOT NULL THEN
        -- The function behind the operator, since an operator between two ROW() is applied to each pair of columns.
        SELECT format('pg_catalog.record_image_ne(ROW(%s), ROW(%s))', string_agg('OLD.' || quote_ident(c), ', '),
                      string_agg('NEW.' || quote_ident(c), ', ')) FROM unnest(columns) AS c INTO differs;
    END IF;
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %I.%I(%L)',
                   name, watched, @schema@, function, argument);
    EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION %I.%I(%L)',
                   name || '_update', watched, differs, @schema@, function, argument);
    EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.%I(%L)',
                   name || '_truncate', watched, @schema@, function, argument);
END
$$;

-- The document as its function builds it, or an error that names both. The function runs with the rights of
-- hotconfig's owner: one that is neither SECURITY DEFINER nor the owner's own could borrow them. What
-- config_publish_marked() pins for its own plans is not for yours.
CREATE FUNCTION @extschema@.config_build_document(document text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = on SET plan_cache_mode = auto AS $$
DECLARE
    source text := (SELECT function FROM @extschema@.config_sources s
                    WHERE s.document = config_build_document.document LIMIT 1);
    built  jsonb;
    what   text;
    hint   text;
BEGIN
    IF source IS NULL THEN
        RAISE EXCEPTION 'document "%" has no source', document USING HINT = 'Call config_watch() for its tables.';
    END IF;
    BEGIN
        IF to_regprocedure(source) IS NULL THEN
            RAISE EXCEPTION 'it does not exist' USING ERRCODE = 'undefined_function', HINT = format('Publish the document '
                'anew, as at first; meanwhile SELECT %I.config_unwatch_document(%L) lets the edits of its tables through '
                'unpublished.', @schema@, document);
        ELSIF NOT (SELECT prosecdef OR pg_get_userbyid(proowner) = current_user FROM pg_proc
                   WHERE oid = to_regprocedure(source)) THEN
            RAISE EXCEPTION 'it is neither SECURITY DEFINER nor owned by %', current_user
                USING ERRCODE = 'insufficient_privilege',
                HINT = format('ALTER FUNCTION %s OWNER TO %I, or make it SECURITY DEFINER.', source, current_user);
        END IF;
        PERFORM @extschema@.config_check_function(document, to_regprocedure(source));
        EXECUTE format('SELECT %s', source) INTO built;
        -- A body that sets the search_path would have the caller's calls and operators resolved in a schema of its
        -- choice, with the owner's rights. It is rolled back with the error.
        IF pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.<>) 'pg_catalog, pg_temp' THEN
            RAISE EXCEPTION 'it changed search_path' USING ERRCODE = 'insufficient_privilege',
                HINT = 'Give the function a SET search_path clause, and no SET in its body.';
        END IF;
    EXCEPTION WHEN query_canceled OR serialization_failure OR deadlock_detected THEN
        RAISE;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS what = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION 'document "%": %: %', document, source, what USING ERRCODE = SQLSTATE,
            HINT = coalesce(nullif(hint, ''), CASE
                WHEN SQLSTATE IN ('42P01', '42883', '42704', '3F000')
                THEN 'Its search_path is empty unless it sets its own: qualify its names.'
                WHEN SQLSTATE = '42501'
                THEN format('%I calls it, and needs USAGE on its schema; it reads with the rights of its owner.', current_user)
                ELSE format('Correct the function or its rows; meanwhile SELECT %I.config_unwatch_document(%L) lets the '
                            'edits of its tables through unpublished.', @schema@, document) END);
    END;
    PERFORM @extschema@.config_check_document(document, built);
    RETURN built;
END
$$;

-- What the function reads is read with its owner's rights: names that a session's temporary tables and functions could
-- take, and what the owner of a table can put in the way of its rows, such as a policy or a view.
CREATE FUNCTION @extschema@.config_check_function(document text, function regprocedure) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    builder  record;
    stranger record;
BEGIN
    SELECT proowner AS owner, (SELECT c FROM unnest(proconfig) AS c WHERE starts_with(c, 'search_path=')) AS path
    FROM pg_proc WHERE oid = function INTO builder;
    IF builder.path !~ '^search_path=(""|(.*, )?pg_temp)$' THEN
        RAISE EXCEPTION 'with its % a temporary table of any session could take the place of what it reads', builder.path
            USING ERRCODE = 'insufficient_privilege',
            HINT = format('ALTER FUNCTION %s SET search_path = '''' and qualify its names, or let it end with pg_temp.',
                          function);
    END IF;
    SELECT tgrelid::regclass AS "table", relowner::regrole AS owner FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    WHERE tgname = @extschema@.config_trigger_name(document) AND NOT pg_has_role(relowner, builder.owner, 'MEMBER')
    INTO stranger;
    IF FOUND THEN
        RAISE EXCEPTION '%, who owns %, could run anything with the rights of %, who owns the function',
            stranger.owner, stranger."table", builder.owner::regrole USING ERRCODE = 'insufficient_privilege',
            HINT = format('ALTER FUNCTION %s OWNER TO %s, and make it SECURITY DEFINER.', function, stranger.owner);
    END IF;
END
$$;

CREATE FUNCTION @extschema@.config_check_document(name text, document jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'document "%" must be a JSON object, not %', name, coalesce(jsonb_typeof(document), 'NULL')
            USING ERRCODE = 'check_violation', HINT = 'Use coalesce(..., ''{}'') around an aggregate of no rows.';
    ELSIF document ? 'version' THEN
        RAISE EXCEPTION 'document "%" must not have the key "version"', name
            USING ERRCODE = 'check_violation', HINT = 'It is reserved for the version that hotconfig gives.';
    END IF;
END
$$;

CREATE FUNCTION @extschema@.config_build_documents(documents text[]) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_object_agg(d, @extschema@.config_build_document(d)), '{}') FROM unnest(documents) AS d
    -- One that was marked and then unwatched in the same transaction stays as it was.
    WHERE EXISTS (SELECT FROM @extschema@.config_sources s WHERE s.document = d);
END;

CREATE FUNCTION @extschema@.config_check_name(document text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF document IS NULL OR btrim(document) = '' OR document = 'active' OR document LIKE 'profile/%' THEN
        RAISE EXCEPTION 'a document of your own cannot be called "%"', coalesce(document, '')
            USING ERRCODE = 'invalid_parameter_value', HINT = '"active" and "profile/..." are hotconfig''s own.';
    END IF;
END
$$;

-- Publish this document when the transaction commits; null withdraws it.
CREATE FUNCTION @extschema@.config_publish(name text, document jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@.config_check_name(name);
    -- A table that was dropped has left its row behind, but no trigger.
    IF EXISTS (SELECT FROM @extschema@.config_sources s WHERE s.document = config_publish.name)
       AND EXISTS (SELECT FROM pg_trigger WHERE tgname = @extschema@.config_trigger_name(config_publish.name)) THEN
        RAISE EXCEPTION 'document "%" is built from its tables', name USING ERRCODE = 'object_in_use',
            HINT = 'Change its tables, or call config_unwatch_document() first.';
    END IF;
    IF document IS NOT NULL THEN
        PERFORM @extschema@.config_check_document(name, document);
    END IF;
    PERFORM @extschema@.config_mark('document ' || name, coalesce(document, 'null'));
END
$$;

-- Watch a table: what changes there publishes the document that the function builds. With columns, an update of others
-- marks nothing and takes no lock. Run it as a role that owns the table and is a member of hotconfig's owner.
CREATE FUNCTION @extschema@.config_watch(watched regclass, document text, function regprocedure,
                                         columns text[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named    record;
    -- Qualified, because it is printed under this function's own search_path.
    builder  text := (SELECT format('%I.%I()', n.nspname, p.proname) FROM pg_proc p JOIN pg_namespace n
                      ON n.oid = p.pronamespace WHERE p.oid = function);
    other    text;
BEGIN
    SELECT n.nspname, c.relname, c.relkind = 'r' AND c.relpersistence <> 't' AS ordinary
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = watched INTO named;
    PERFORM @extschema@.config_check_name(document);
    IF NOT named.ordinary THEN
        RAISE EXCEPTION '% is not an ordinary table', watched USING ERRCODE = 'wrong_object_type',
            HINT = 'Views have no rows of their own, and statement triggers miss the partitions of a partitioned table.';
    ELSIF (SELECT pronargs <> 0 OR prorettype <> 'jsonb'::regtype OR proretset FROM pg_proc WHERE oid = function) THEN
        RAISE EXCEPTION '% must take no arguments and return jsonb', function USING ERRCODE = 'invalid_parameter_value';
    ELSIF cardinality(columns) = 0 THEN
        RAISE EXCEPTION 'columns is empty' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Name the columns that matter, or leave it out to watch them all.';
    END IF;
    SELECT s.function FROM @extschema@.config_sources s
    WHERE s.document = config_watch.document AND s.function <> builder INTO other;
    IF FOUND THEN
        RAISE EXCEPTION 'document "%" is already built by %', document, other USING ERRCODE = 'duplicate_object',
            HINT = 'All tables of a document share its function: unwatch them first to change it.';
    END IF;
    IF EXISTS (SELECT FROM pg_trigger
               WHERE tgrelid = watched AND tgname = ANY (@extschema@.config_trigger_names(document))) THEN
        RAISE EXCEPTION '% is already watched for document "%"', watched, document USING ERRCODE = 'duplicate_object',
            HINT = 'Call config_unwatch() first to watch other columns.';
    END IF;
    PERFORM @extschema@.config_install_triggers(watched, @extschema@.config_trigger_name(document),
        'config_mark_document', document, columns);
    INSERT INTO @extschema@.config_sources (schema, "table", document, function, columns)
    VALUES (named.nspname, named.relname, document, builder, columns)
    -- Left behind by a table that was dropped, or whose triggers were.
    ON CONFLICT ON CONSTRAINT config_sources_pkey DO UPDATE SET function = excluded.function, columns = excluded.columns;
    -- The first document, at this transaction's commit; but say now if the function cannot be used.
    PERFORM @extschema@.config_build_document(document);
    PERFORM @extschema@.config_mark('document ' || document, NULL::jsonb);
END
$$;

-- Stop watching. The document stays as it was last published; config_publish(document, NULL) withdraws it.
-- The triggers say what is watched: a table that was renamed since stands in config_sources under its old name.
CREATE FUNCTION @extschema@.config_unwatch(watched regclass, document text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger
                   WHERE tgrelid = watched AND tgname = ANY (@extschema@.config_trigger_names(document))) THEN
        RAISE EXCEPTION '% is not watched for document "%"', watched, document USING ERRCODE = 'undefined_object',
            HINT = format('SELECT * FROM %I.config_sources says what is.', @schema@);
    END IF;
    DELETE FROM @extschema@.config_sources WHERE (schema, "table", config_sources.document) = (
        SELECT s.schema, s."table", s.document
        FROM @extschema@.config_sources s, to_regclass(format('%I.%I', s.schema, s."table")) AS still
        WHERE s.document = config_unwatch.document AND coalesce(still = watched, true)
        ORDER BY still IS NULL LIMIT 1);
    FOREACH name IN ARRAY @extschema@.config_trigger_names(document) LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', name, watched);
    END LOOP;
END
$$;

-- Stop watching all tables of a document, be there one of three triggers left or, of a table that was dropped, none.
CREATE FUNCTION @extschema@.config_unwatch_document(document text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM @extschema@.config_unwatch(watched, document)
    FROM (SELECT DISTINCT tgrelid::regclass AS watched FROM pg_trigger
          WHERE tgname = ANY (@extschema@.config_trigger_names(document))) AS still;
    DELETE FROM @extschema@.config_sources s WHERE s.document = config_unwatch_document.document;
END
$$;

-- A digest: several documents may watch one table, and a trigger's name has 63 bytes.
CREATE FUNCTION @extschema@.config_trigger_name(document text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN 'config_mark_' || left(md5(@schema@ || ' ' || document), 12);

CREATE FUNCTION @extschema@.config_trigger_names(document text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN ARRAY[@extschema@.config_trigger_name(document), @extschema@.config_trigger_name(document) || '_update',
             @extschema@.config_trigger_name(document) || '_truncate'];
