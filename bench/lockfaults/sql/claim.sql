INSERT INTO jobs (id, epoch) VALUES ($1, $2)
