SELECT at, epoch, kind, instance, detail FROM singleton_event
WHERE name = $1 ORDER BY id DESC LIMIT $2
