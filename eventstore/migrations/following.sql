-- Everything that follows the log, and how far it has read: nothing is dropped that one of them has still to read.
-- Whoever adds a table of checkpoints adds it here.
CREATE OR REPLACE VIEW es.following AS
    SELECT 'projection ' || name || ' v' || version || ' (' || status || ')' AS name, position FROM es.projection;
