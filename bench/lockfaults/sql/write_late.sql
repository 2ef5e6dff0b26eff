SELECT commit_late($1, $2, $3, $4)
