INSERT INTO singleton_event (name, epoch, kind, instance, detail) VALUES ($1, $2, $3, $4, $5)
