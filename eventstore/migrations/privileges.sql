-- The application reads all, writes through functions alone, and owns nothing of the log.
REVOKE ALL ON SCHEMA es FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA es FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA es FROM PUBLIC;
