-- Those of the ids that are over, and those that never were.
SELECT asked.id FROM unnest($1::uuid[]) AS asked (id) LEFT JOIN generations g ON g.id = asked.id
WHERE g.id IS NULL OR g.state IN ('succeeded', 'failed')
