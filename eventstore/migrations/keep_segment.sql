-- Remembers a segment that was proven to hold its range; false: another one was remembered there. Ranges leave no hole:
-- each begins where the one before ends, inside one partition, and has as many events as the log has there.
CREATE OR REPLACE FUNCTION es.keep_segment(
    p_from bigint, p_to bigint, p_partition text, p_name text, p_sha256 text, p_size bigint, p_events int,
    p_types text[], p_first timestamptz, p_last timestamptz,
    p_entities text[], p_first_versions bigint[], p_last_versions bigint[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
    part  es.partition;
    ends  bigint;
    found int;
BEGIN
    PERFORM pg_advisory_xact_lock(7405, 3);
    SELECT * INTO STRICT part FROM es.partition WHERE name = p_partition;
    SELECT coalesce(max(to_position), (SELECT min(from_position) FROM es.partition)) INTO ends FROM es.segment;
    IF p_from <> ends THEN
        RETURN EXISTS (SELECT FROM es.segment s WHERE s.from_position = p_from AND s.name = p_name);
    END IF;
    SELECT count(*) INTO found FROM es.event e WHERE e.position >= p_from AND e.position < p_to;
    IF p_from < part.from_position OR p_to > part.to_position OR found <> p_events THEN
        RAISE EXCEPTION 'a segment over [%, %) with % events does not fit: there are %', p_from, p_to, p_events, found;
    END IF;
    INSERT INTO es.segment (from_position, to_position, partition, name, sha256, size, events, types,
                            first_recorded_at, last_recorded_at)
    VALUES (p_from, p_to, p_partition, p_name, p_sha256, p_size, p_events, p_types, p_first, p_last);
    INSERT INTO es.segment_entity (entity_id, first_version, last_version, from_position)
    SELECT n.id, n.first, n.last, p_from
    FROM unnest(p_entities, p_first_versions, p_last_versions) n (id, first, last);
    RETURN true;
END $$;
