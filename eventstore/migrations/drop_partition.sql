-- Drops a partition and says so in the floor, in one transaction; unless something speaks against it, which is answered.
-- The lock that this needs stands before every append and read that comes later, so it is given up at once where it
-- is not free: the next round tries again.
CREATE OR REPLACE FUNCTION es.drop_partition(p_name text) RETURNS TABLE (kind text, name text, "position" bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp SET lock_timeout = '200ms' AS $$
#variable_conflict use_column
DECLARE
    part es.partition;
BEGIN
    PERFORM pg_advisory_xact_lock(7405, 2);
    SELECT * INTO STRICT part FROM es.partition p WHERE p.name = p_name;
    IF part.dropped_at IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM es.held(p_name);
    IF FOUND THEN
        RETURN;
    END IF;
    LOCK TABLE es.event IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE es.event DETACH PARTITION es.%I', p_name);
    EXECUTE format('DROP TABLE es.%I', p_name);
    UPDATE es.partition p SET dropped_at = clock_timestamp() WHERE p.name = p_name;
    UPDATE es.log SET floor = part.to_position;
END $$;
