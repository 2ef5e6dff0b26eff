INSERT INTO singleton_event (name, epoch, kind, instance, detail) VALUES ($1, $2, 'lost', $3, $4)
