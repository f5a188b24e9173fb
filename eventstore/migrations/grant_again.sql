-- Whoever may call the functions of the log may call those that a migration brings, and read its new tables.
DO $$
DECLARE
    role_ text;
BEGIN
    FOR role_ IN
        SELECT DISTINCT a.grantee::regrole::text FROM pg_proc p, aclexplode(p.proacl) a
        WHERE p.oid = 'es.leave(uuid)'::regprocedure AND a.privilege_type = 'EXECUTE'
          AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA es TO %s', role_);
        EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA es TO %s', role_);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION es.new_log_id FROM %s', role_);
    END LOOP;
END $$;
