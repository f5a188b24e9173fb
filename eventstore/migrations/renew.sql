-- Extends (or begins) a node's lease on the database's clock; answers whether it had not run out before.
CREATE FUNCTION es.renew(p_node uuid, p_name text, p_seconds double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
DECLARE
    held boolean;
BEGIN
    SELECT lease_until > clock_timestamp() INTO held FROM es.node WHERE node_id = p_node FOR UPDATE;
    INSERT INTO es.node (node_id, name, lease_until)
    VALUES (p_node, p_name, clock_timestamp() + p_seconds * interval '1 second')
    ON CONFLICT (node_id) DO UPDATE SET lease_until = excluded.lease_until, name = excluded.name;
    RETURN coalesce(held, false);
END $$;
