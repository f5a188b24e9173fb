-- Ends a node's lease and gives back all that it owns; rows of nodes gone for a day go with it.
CREATE FUNCTION es.leave(p_node uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = es, pg_temp AS $$
    UPDATE es.entity SET owner = NULL WHERE owner = p_node;
    UPDATE es.projection SET owner = NULL WHERE owner = p_node;
    DELETE FROM es.node WHERE node_id = p_node OR lease_until < clock_timestamp() - interval '1 day';
$$;
