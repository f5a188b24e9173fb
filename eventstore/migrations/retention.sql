-- What is remembered of segments: ranges of the log that were written elsewhere, and the entities in each.
ALTER TABLE es.partition DROP COLUMN exported, ADD COLUMN dropped_at timestamptz;
-- Events below this position are in segments alone; it moves in the transaction that drops them.
ALTER TABLE es.log ADD COLUMN floor bigint NOT NULL DEFAULT 1;

-- [from_position, to_position), each beginning where the one before ends.
CREATE TABLE es.segment (
    from_position     bigint PRIMARY KEY,
    to_position       bigint  NOT NULL CHECK (to_position > from_position),
    partition         text    NOT NULL REFERENCES es.partition,
    name              text    NOT NULL UNIQUE,
    sha256            text    NOT NULL,
    size              bigint  NOT NULL,
    events            integer NOT NULL,
    types             text[]  NOT NULL,
    first_recorded_at timestamptz,
    last_recorded_at  timestamptz,
    exported_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX segment_partition ON es.segment (partition);
CREATE INDEX segment_recorded_at ON es.segment (first_recorded_at);

CREATE TABLE es.segment_entity (
    entity_id     text COLLATE "C" NOT NULL,
    first_version bigint NOT NULL,
    last_version  bigint NOT NULL,
    from_position bigint NOT NULL REFERENCES es.segment,
    PRIMARY KEY (entity_id, first_version)
);
CREATE INDEX segment_entity_segment ON es.segment_entity (from_position);
