-- Commits of a term after one of a later term.
SELECT count(*) FROM (
    SELECT epoch, max(epoch) OVER (ORDER BY n) AS newest FROM commits
) c WHERE epoch < newest
