UPDATE generation_results SET file_id = $3 WHERE generation_id = $1 AND position = $2
