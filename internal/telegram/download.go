package telegram

import (
	"context"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
)

// MaxDownload is the largest file that the Bot API hands out, in bytes.
const MaxDownload = 20 << 20

const downloadTimeout = time.Minute

// Download opens a file that a person has sent. Close its body. The address of
// the download contains the token, so it is never returned, logged or quoted.
func Download(ctx context.Context, bot *gotgbot.Bot, fileID string) (body io.ReadCloser, name string, err error) {
	f, err := bot.GetFileWithContext(ctx, fileID, nil)
	if err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, bot.FileURL(bot.Token, f.FilePath, nil), nil)
	if err != nil {
		return nil, "", &Error{Method: "download", Outcome: NotSent, Description: "the address of the file is not usable"}
	}
	client := &http.Client{Transport: connections, Timeout: downloadTimeout, CheckRedirect: notFollowed}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", &Error{Method: "download", Outcome: Unknown, Description: clean(err, bot.Token)}
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, "", &Error{Method: "download", Outcome: Unknown, Code: resp.StatusCode, Description: "the file was not served"}
	}
	return http.MaxBytesReader(nil, resp.Body, MaxDownload), path.Base(f.FilePath), nil
}
