-- Which schema scripts this database has had.
CREATE TABLE IF NOT EXISTS singleton_schema (
    version integer     CONSTRAINT singleton_schema_pkey PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
