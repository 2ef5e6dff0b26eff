UPDATE jobs SET done = true WHERE id = $1
