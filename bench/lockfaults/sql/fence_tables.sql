-- The fence alone, with a number of rows to choose, and a row of its own for every client.
DROP TABLE IF EXISTS fence, own;
CREATE TABLE fence (stripe integer PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0);
INSERT INTO fence SELECT s FROM generate_series(0, $stripes - 1) s;
CREATE TABLE own (id integer PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
INSERT INTO own SELECT c FROM generate_series(0, $clients - 1) c;
ANALYZE fence;
ANALYZE own;
