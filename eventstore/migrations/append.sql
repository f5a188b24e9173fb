-- Writes the appends that fit, each wholly or not at all, and says for each what became of it.
-- s_*: one element per append, an entity at most once; s_before and s_hash: its hash before and after.
-- s_closes: whether the entity ends with it; whatever comes later opens it again.
-- e_*: one element per event; e_append points into s_* (from 1).
-- Outcomes: appended | conflict (version is the actual one) | refused (fence is the current one) | unchained (the
-- version fits, but its hash is not s_before: read it and try again).
CREATE FUNCTION es.append(
    p_node uuid,
    s_entity text[], s_expected bigint[], s_fence bigint[], s_count bigint[], s_before bytea[], s_hash bytea[],
    s_actor text[], s_correlation uuid[], s_causation bigint[],
    e_append int[], e_version bigint[], e_type text[], e_schema smallint[], e_id uuid[], e_data text[], e_hash bytea[],
    s_closes boolean[] DEFAULT NULL
) RETURNS TABLE (outcome text, version bigint, fence bigint, first_position bigint, last_position bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = es, pg_temp AS $$
#variable_conflict use_column
DECLARE
    outcomes text[];
    versions bigint[];
    fences   bigint[];
    now_us   bigint;
    at_      timestamptz;
    firsts   bigint[];
    lasts    bigint[];
    high     bigint;
BEGIN
    -- 1. Rows for entities that are new.
    IF 0 = ANY (s_expected) THEN
        INSERT INTO es.entity (entity_id, category)
        SELECT s.id, split_part(s.id, '/', 1) FROM unnest(s_entity, s_expected) s (id, expected)
        WHERE s.expected = 0 ORDER BY s.id COLLATE "C"
        ON CONFLICT DO NOTHING;
    END IF;

    -- 2. Lock the rows in one order for all, judge them as they are now, bump those that fit.
    PERFORM 1 FROM es.entity WHERE entity_id = ANY (s_entity) ORDER BY entity_id FOR UPDATE;
    SELECT array_agg(CASE
               WHEN coalesce(e.fence, 0) <> s.fence THEN 'refused'
               WHEN s.fence <> 0 AND e.claimed_under IS DISTINCT FROM pg_postmaster_start_time() THEN 'refused'
               WHEN coalesce(e.version, 0) <> s.expected THEN 'conflict'
               WHEN coalesce(e.hash, '') <> s.before THEN 'unchained'
               ELSE 'appended' END ORDER BY s.i),
           array_agg(coalesce(e.version, 0) ORDER BY s.i),
           array_agg(coalesce(e.fence, 0) ORDER BY s.i)
    INTO outcomes, versions, fences
    FROM unnest(s_entity, s_expected, s_fence, s_before) WITH ORDINALITY s (id, expected, fence, before, i)
    LEFT JOIN es.entity e ON e.entity_id = s.id;

    UPDATE es.entity e SET version = e.version + s.count, hash = s.hash,
           closed_at = CASE WHEN s.closes THEN clock_timestamp() END
    FROM unnest(s_entity, s_count, s_hash, outcomes, s_closes) s (id, count, hash, outcome, closes)
    WHERE e.entity_id = s.id AND s.outcome = 'appended';

    IF 'appended' = ANY (outcomes) THEN
        -- 3. The order lock, last of all locks, held until the commit is visible: positions commit in their order.
        PERFORM pg_advisory_xact_lock(7405, 1);

        -- 4. Numbers and one clock reading, under the lock.
        SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, last_value) INTO now_us FROM es.clock;
        PERFORM setval('es.clock', now_us);
        at_ := 'epoch'::timestamptz + now_us * interval '1 microsecond';
        WITH inserted AS (
            INSERT INTO es.event (position, entity_id, version, fence, type, schema_version, event_id, recorded_at,
                                  node, actor, correlation_id, causation_position, data, hash)
            SELECT nextval('es.position'), s_entity[o.a], o.version, s_fence[o.a], o.type, o.schema, o.id, at_,
                   p_node, s_actor[o.a], s_correlation[o.a], s_causation[o.a], o.data::jsonb, o.hash
            FROM (SELECT e.* FROM unnest(e_append, e_version, e_type, e_schema, e_id, e_data, e_hash)
                         WITH ORDINALITY e (a, version, type, schema, id, data, hash, i)
                  WHERE outcomes[e.a] = 'appended' ORDER BY e.i) o
            RETURNING entity_id, position),
        spans AS (SELECT entity_id, min(position) AS low, max(position) AS high FROM inserted GROUP BY entity_id)
        SELECT array_agg(p.low ORDER BY s.i), array_agg(p.high ORDER BY s.i), max(p.high)
        INTO firsts, lasts, high
        FROM unnest(s_entity) WITH ORDINALITY s (id, i) LEFT JOIN spans p ON p.entity_id = s.id;

        -- 5. Wake those who follow.
        PERFORM pg_notify('es_log', high::text);
    END IF;

    RETURN QUERY SELECT * FROM unnest(outcomes, versions, fences, firsts, lasts);
END $$;
