-- Names the log anew: to be called once after a copy was restored, so that no id made from it is used twice.
CREATE FUNCTION es.new_log_id() RETURNS uuid
LANGUAGE sql AS $$
    UPDATE es.log SET log_id = gen_random_uuid(), created_at = clock_timestamp() RETURNING log_id;
$$;
