SELECT state, error FROM inbox_messages WHERE source = $1 AND key = $2
