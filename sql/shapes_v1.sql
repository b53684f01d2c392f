-- Documents of the common shapes, whose functions hotconfig writes itself.

CREATE FUNCTION @extschema@.config_shape_name(document text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN 'config_shape_' || left(md5(document), 12);

-- Called by these functions: of two values for a key jsonb_object_agg() takes either.
CREATE FUNCTION @extschema@.config_refuse_key("table" text, "column" text, key text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%', CASE WHEN key IS NULL THEN format('a %s of %s is NULL', "column", "table")
                              ELSE format('the %s %s of %s comes twice', "column", to_json(key), "table") END
        USING ERRCODE = 'unique_violation', HINT = 'A document has one value for each key.';
END
$$;

-- Publish tables as a document. `body` is an expression in pieces, a table of `watched` between each two; `columns` has
-- for each of these the columns that matter. Nothing is done if all is as `made_of`, the function's comment, says.
-- Run it as a role that owns the tables and is a member of hotconfig's owner.
CREATE FUNCTION @extschema@.config_shape(document text, body text[], watched regclass[], columns jsonb, made_of text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET client_min_messages = warning AS $$
DECLARE
    builder text := format('%I.%I()', @schema@, @extschema@.config_shape_name(document));
    body_   text := body[1];
    wanted  jsonb;
    unknown record;
    stranger record;
BEGIN
    PERFORM @extschema@.config_check_name(document);
    FOR n IN 1 .. cardinality(watched) LOOP
        body_ := body_ || watched[n]::text || body[n + 1];
    END LOOP;
    SELECT jsonb_object_agg(w, names) FROM (
        SELECT w, jsonb_agg(DISTINCT c ORDER BY c) AS names
        FROM unnest(watched) WITH ORDINALITY AS u (w, n), jsonb_array_elements_text(columns -> (n - 1)::int) AS c
        GROUP BY w) AS of_table
    INTO wanted;
    SELECT w, c FROM jsonb_each(wanted) AS of_table (w, names), jsonb_array_elements_text(names) AS c
    WHERE NOT EXISTS (SELECT FROM pg_attribute
                      WHERE attrelid = w::regclass AND attname = c AND attnum > 0 AND NOT attisdropped)
    INTO unknown;
    IF FOUND THEN
        RAISE EXCEPTION '% has no column "%"', unknown.w, unknown.c USING ERRCODE = 'undefined_column',
            HINT = (SELECT 'It has ' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || '.' FROM pg_attribute
                    WHERE attrelid = unknown.w::regclass AND attnum > 0 AND NOT attisdropped);
    END IF;
    IF obj_description(to_regprocedure(builder), 'pg_proc') = made_of
       AND @extschema@.config_watched(document) = wanted THEN
        RETURN;
    END IF;
    PERFORM @extschema@.config_unwatch_document(document);
    EXECUTE format('DROP FUNCTION IF EXISTS %s', builder);
    -- Settings on which the text of a time, an interval, a float or bytes depends.
    EXECUTE format('CREATE FUNCTION %s RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '''' '
        'SET timezone = ''UTC'' SET datestyle = ''ISO, MDY'' SET intervalstyle = ''postgres'' '
        'SET extra_float_digits = 1 SET bytea_output = ''hex'' RETURN (%s)', builder, body_);
    -- What it returns is for those who may read config_documents.
    FOR stranger IN
        SELECT DISTINCT grantee FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        WHERE pg_proc.oid = builder::regprocedure AND grantee <> proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', builder,
                       CASE stranger.grantee WHEN 0 THEN 'PUBLIC' ELSE stranger.grantee::regrole::text END);
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', builder, (SELECT proowner::regrole FROM pg_proc
        WHERE oid = format('%I.config_build_document(text)', @schema@)::regprocedure));
    EXECUTE format('COMMENT ON FUNCTION %s IS %L', builder, made_of);
    PERFORM @extschema@.config_watch(w::regclass, document, builder::regprocedure,
                                     ARRAY(SELECT jsonb_array_elements_text(names)))
    FROM jsonb_each(wanted) AS each_ (w, names);
END
$$;

-- Undo config_shape(), or what is left of it: a migration's way back must not fail because somebody went it at night.
-- The document stays as it was last published.
CREATE FUNCTION @extschema@.config_unshape(document text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    PERFORM @extschema@.config_unwatch_document(document);
    EXECUTE format('DROP FUNCTION IF EXISTS %I.%I()', @schema@, @extschema@.config_shape_name(document));
END
$$;

-- The tables that mark a document, with the columns that matter, null: all. One of them is missing unless all its
-- triggers fire.
CREATE FUNCTION @extschema@.config_watched(document text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT jsonb_object_agg(c.oid::regclass, (SELECT jsonb_agg(name ORDER BY name) FROM unnest(s.columns) AS name))
    FROM @extschema@.config_sources s JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', s.schema, s."table"))
    WHERE s.document = config_watched.document AND 3 = (
        SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN ('O', 'A')
        AND t.tgname = ANY (@extschema@.config_trigger_names(s.document)))
);
