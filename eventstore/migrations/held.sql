-- What speaks against dropping a partition, and how far it is; at most a thousand. Each line is one safety condition.
CREATE OR REPLACE FUNCTION es.held(p_name text) RETURNS TABLE (kind text, name text, "position" bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = es, pg_temp AS $$
    WITH part AS (SELECT p.from_position AS low, p.to_position AS high FROM es.partition p WHERE p.name = p_name),
    -- Positions commit in their order: once one behind it is seen, it gets no more events.
    head AS (SELECT coalesce(max(e.position), 0) AS reached FROM es.event e),
    spans AS (
        SELECT e.entity_id, max(e.last_version) AS last_version
        FROM es.segment s JOIN es.segment_entity e USING (from_position) WHERE s.partition = p_name
        GROUP BY e.entity_id),
    holds AS (
        SELECT 'head' AS kind, '' AS name, head.reached AS position FROM part, head WHERE head.reached < part.high
        UNION ALL
        SELECT 'partition', o.name, o.from_position FROM part, es.partition o
        WHERE o.from_position < part.low AND o.dropped_at IS NULL
        UNION ALL
        SELECT 'segment', '', coalesce(max(s.to_position), min(part.low))
        FROM part LEFT JOIN es.segment s ON s.partition = p_name
        HAVING coalesce(max(s.to_position), 0) < min(part.high)
        UNION ALL
        SELECT 'follower', f.name, f.position FROM part, es.following f WHERE f.position < part.high - 1
        UNION ALL
        SELECT 'entity', n.entity_id, n.last_version FROM spans n JOIN es.entity e USING (entity_id)
        LEFT JOIN es.snapshot s USING (entity_id)
        WHERE e.closed_at IS NULL AND coalesce(s.version, 0) < n.last_version)
    SELECT h.kind, h.name, h.position FROM holds h LIMIT 1000;
$$;
