-- Conflicts with the FOR UPDATE of a new term, not with heartbeats or with
-- other work. No row means that the term is over.
SELECT 1 FROM singleton_fence
WHERE name = $1 AND stripe = $2 AND epoch = $3 AND term = $4::uuid
FOR KEY SHARE
