-- Makes sure that two partitions lie ahead of the last position and of p_room events behind it; answers from which
-- position on to call it again.
-- The trigger stands on each partition, because a statement on a partition does not fire its parent's.
CREATE FUNCTION es.make_partitions(p_room bigint DEFAULT 0) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
    size   bigint := coalesce(nullif(current_setting('es.partition_size', true), '')::bigint, 10000000);
    reached bigint;
    upper_ bigint;
    made   text;
BEGIN
    PERFORM pg_advisory_xact_lock(7405, 2);
    SELECT last_value INTO reached FROM es.position;
    SELECT coalesce(max(to_position), 1) INTO upper_ FROM es.partition;
    WHILE upper_ < reached + p_room + 2 * size LOOP
        made := 'event_' || lpad(upper_::text, 19, '0');
        EXECUTE format('CREATE TABLE es.%I (LIKE es.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', made);
        EXECUTE format('ALTER TABLE es.%I ADD CHECK (position >= %s AND position < %s)', made, upper_, upper_ + size);
        EXECUTE format('CREATE UNIQUE INDEX %I ON es.%I (entity_id, version)', made || '_entity', made);
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON es.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change()', made);
        EXECUTE format('ALTER TABLE es.event ATTACH PARTITION es.%I FOR VALUES FROM (%s) TO (%s)',
                       made, upper_, upper_ + size);
        INSERT INTO es.partition (name, from_position, to_position) VALUES (made, upper_, upper_ + size);
        upper_ := upper_ + size;
    END LOOP;
    RETURN upper_ - 2 * size;
END $$;
