package pgdev

import (
	"context"
	"log/slog"
)

// Unpack lets tests try archives that are not the pinned one.
var Unpack = unpack

// Download fetches the pinned archive into a cache in the folder.
func Download(ctx context.Context, folder string, log *slog.Logger) (bin string, err error) {
	c := cache{folder}
	return c.downloadFolder() + "/bin", c.download(ctx, log)
}
