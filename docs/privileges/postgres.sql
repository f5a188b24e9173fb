-- What the role `nats3` of a running program needs, where another role owns the schema (`NATS3_POSTGRES_MIGRATE=false`).
-- `nats3 db upgrade --url OWNER --role nats3` migrates and grants the same. Run it as the owner, after the schema is there.
GRANT USAGE ON SCHEMA es TO nats3;
GRANT USAGE, CREATE ON SCHEMA public TO nats3;
GRANT SELECT ON ALL TABLES IN SCHEMA es TO nats3;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA es TO nats3;
REVOKE EXECUTE ON FUNCTION es.new_log_id FROM nats3;
GRANT INSERT, UPDATE, DELETE ON es.snapshot, es.projection TO nats3;
ALTER DEFAULT PRIVILEGES IN SCHEMA es GRANT SELECT ON TABLES TO nats3;
