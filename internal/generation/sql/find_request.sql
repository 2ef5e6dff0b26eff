SELECT id FROM generations WHERE request_key = $1
