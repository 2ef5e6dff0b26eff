SELECT position, kind, url, file_id FROM generation_results WHERE generation_id = $1 ORDER BY position
