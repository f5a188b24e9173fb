-- Gives an entity to a node whoever owns it: for operators and tests.
CREATE FUNCTION es.claim(p_node uuid, p_entity text) RETURNS TABLE (entity_id text, fence bigint, version bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = es, pg_temp AS $$
    INSERT INTO es.entity AS e (entity_id, category, fence, claimed_under, owner)
    VALUES (p_entity, split_part(p_entity, '/', 1), (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
            pg_postmaster_start_time(), p_node)
    ON CONFLICT (entity_id) DO UPDATE
    SET fence = greatest(e.fence + 1, excluded.fence), claimed_under = excluded.claimed_under, owner = excluded.owner
    RETURNING e.entity_id, e.fence, e.version;
$$;
