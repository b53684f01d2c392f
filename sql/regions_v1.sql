-- Another server that has these tables by logical replication announces what arrives there, to clients of its own.

CREATE FUNCTION @extschema@.config_announce() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify(@channel@, NEW.version::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER config_announce AFTER INSERT OR UPDATE ON @extschema@.config_state
FOR EACH ROW EXECUTE FUNCTION @extschema@.config_announce();
-- For what replication writes, and nothing else: where edits are made, config_publish_marked() announces them.
ALTER TABLE @extschema@.config_state ENABLE REPLICA TRIGGER config_announce;
