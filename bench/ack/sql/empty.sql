TRUNCATE inbox_messages, river_job
