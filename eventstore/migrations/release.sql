-- Gives an entity back, if it is still ours; the fence stays, so that nothing sent late can pass.
CREATE FUNCTION es.release(p_node uuid, p_entity text, p_fence bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = es, pg_temp AS $$
    WITH given AS (
        UPDATE es.entity SET owner = NULL
        WHERE entity_id = p_entity AND owner = p_node AND fence = p_fence RETURNING 1)
    SELECT EXISTS (SELECT FROM given);
$$;
