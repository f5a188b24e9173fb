-- Gives a living node up to p_limit of the entities it wants that nobody living owns; makes their rows as needed.
-- One that has ended may be taken too: it goes on when it is wanted again.
-- The clock in the fence keeps it above the fences of a life that a restored copy has forgotten.
CREATE OR REPLACE FUNCTION es.take(p_node uuid, p_wanted text[], p_limit int)
RETURNS TABLE (entity_id text, fence bigint, version bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM es.node n WHERE n.node_id = p_node AND n.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    INSERT INTO es.entity (entity_id, category)
    SELECT w.id, split_part(w.id, '/', 1) FROM unnest(p_wanted) w (id)
    WHERE NOT EXISTS (SELECT FROM es.entity e WHERE e.entity_id = w.id) ORDER BY w.id COLLATE "C"
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    WITH free AS (
        SELECT e.entity_id FROM es.entity e
        WHERE e.entity_id = ANY (p_wanted)
          AND (e.owner IS NULL
               OR (e.owner = p_node AND e.claimed_under IS DISTINCT FROM pg_postmaster_start_time())
               OR NOT EXISTS (SELECT FROM es.node n WHERE n.node_id = e.owner AND n.lease_until > clock_timestamp()))
        ORDER BY e.entity_id LIMIT p_limit FOR UPDATE SKIP LOCKED)
    UPDATE es.entity e
    SET fence = greatest(e.fence + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint),
        claimed_under = pg_postmaster_start_time(), owner = p_node
    FROM free WHERE e.entity_id = free.entity_id
    RETURNING e.entity_id, e.fence, e.version;
END $$;
