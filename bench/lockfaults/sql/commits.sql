SELECT op, n, epoch FROM commits ORDER BY n
