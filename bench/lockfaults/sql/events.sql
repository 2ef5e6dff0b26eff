SELECT id, (extract(epoch FROM at) * 1000000)::bigint, epoch, kind, instance, detail FROM singleton_event WHERE id > $1 ORDER BY id
