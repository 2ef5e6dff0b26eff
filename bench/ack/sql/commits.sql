SELECT (SELECT count(DISTINCT xmin::text) FROM inbox_messages) + (SELECT count(DISTINCT xmin::text) FROM river_job)
