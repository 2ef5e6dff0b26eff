-- The product's own tables in two schemas, one for each way of waking workers.
-- With River no due time is kept beside the job's.
CREATE SCHEMA due;
CREATE TABLE due.orders (LIKE public.generations INCLUDING ALL);
CREATE TABLE due.order_events (LIKE public.generation_events INCLUDING ALL);
ALTER TABLE due.order_events ADD CONSTRAINT order_events_of FOREIGN KEY (generation_id) REFERENCES due.orders;

CREATE SCHEMA river;
CREATE TABLE river.orders (LIKE public.generations INCLUDING ALL);
CREATE TABLE river.order_events (LIKE public.generation_events INCLUDING ALL);
ALTER TABLE river.order_events ADD CONSTRAINT order_events_of FOREIGN KEY (generation_id) REFERENCES river.orders;
ALTER TABLE river.orders DROP COLUMN due_at;
