SELECT singleton_check($1, $2, $3::uuid, $4, $5)
