-- What the work of the lock's holder changes. Every fenced commit takes the next
-- number and says of which term it is; a job is something done outside the
-- database in many steps, claimed first.
CREATE TABLE counter (n bigint NOT NULL);
INSERT INTO counter VALUES (0);
CREATE TABLE commits (n bigint NOT NULL, epoch bigint NOT NULL, instance text NOT NULL, op text NOT NULL);
CREATE TABLE jobs (id text PRIMARY KEY, epoch bigint NOT NULL, done boolean NOT NULL DEFAULT false);
CREATE TABLE due (waits boolean NOT NULL);
INSERT INTO due VALUES (true);

-- A statement that is still running when its term ends.
CREATE FUNCTION commit_late(held_epoch bigint, holder text, op text, late double precision) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE number bigint;
BEGIN
    PERFORM pg_sleep(late);
    UPDATE counter SET n = n + 1 RETURNING n INTO number;
    INSERT INTO commits (n, epoch, instance, op) VALUES (number, held_epoch, holder, op);
END
$$;
