-- The tables. An entity's row is its lock, its version and its fence; an event is never changed.
CREATE SCHEMA IF NOT EXISTS es;

CREATE TABLE es.log (
    log_id     uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    only_one   boolean     PRIMARY KEY DEFAULT true CHECK (only_one)
);
INSERT INTO es.log DEFAULT VALUES;

-- position numbers events; clock is the last recorded_at in microseconds. Both are read and moved under the order lock.
CREATE SEQUENCE es.position AS bigint CACHE 1;
CREATE SEQUENCE es.clock AS bigint CACHE 1;

-- Bytewise collation: Postgres and Python sort names alike, so that every appender locks in the same order.
CREATE TABLE es.entity (
    entity_id     text COLLATE "C" PRIMARY KEY,
    category      text        NOT NULL,
    version       bigint      NOT NULL DEFAULT 0,
    hash          bytea       NOT NULL DEFAULT '',
    fence         bigint      NOT NULL DEFAULT 0,
    claimed_under timestamptz,
    owner         uuid,
    closed_at     timestamptz
) WITH (fillfactor = 80);
CREATE INDEX entity_owner ON es.entity (owner) WHERE owner IS NOT NULL;

CREATE TABLE es.event (
    position           bigint      NOT NULL PRIMARY KEY,
    entity_id          text COLLATE "C" NOT NULL,
    version            bigint      NOT NULL,
    fence              bigint      NOT NULL,
    type               text        NOT NULL,
    schema_version     smallint    NOT NULL,
    event_id           uuid        NOT NULL,
    recorded_at        timestamptz NOT NULL,
    node               uuid        NOT NULL,
    actor              text        NOT NULL,
    correlation_id     uuid,
    causation_position bigint,
    data               jsonb       NOT NULL,
    hash               bytea       NOT NULL
) PARTITION BY RANGE (position);
CREATE INDEX event_type ON es.event (type, position);
CREATE INDEX event_recorded_at ON es.event USING brin (recorded_at);

-- What ranges of positions have a partition; [from_position, to_position).
CREATE TABLE es.partition (
    name          text   PRIMARY KEY,
    from_position bigint NOT NULL,
    to_position   bigint NOT NULL,
    exported      jsonb
);

CREATE TABLE es.snapshot (
    entity_id      text COLLATE "C" PRIMARY KEY,
    version        bigint   NOT NULL,
    position       bigint   NOT NULL,
    schema_version smallint NOT NULL,
    state          bytea    NOT NULL
);

-- version names the tables, code is the version of the program that filled them; readers see the active one.
CREATE TABLE es.projection (
    name       text        NOT NULL,
    version    integer     NOT NULL,
    code       integer     NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    fence      bigint      NOT NULL DEFAULT 0,
    owner      uuid,
    status     text        NOT NULL DEFAULT 'building',
    active     boolean     NOT NULL DEFAULT false,
    error      jsonb,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX projection_active ON es.projection (name) WHERE active;

CREATE TABLE es.node (
    node_id     uuid        PRIMARY KEY,
    name        text        NOT NULL,
    lease_until timestamptz NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
