package telegramsim

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	fetchTimeout  = 20 * time.Second
	maxPhotoByURL = 5 << 20
	maxFileByURL  = 20 << 20
	maxVoiceByURL = 1 << 20
)

var (
	errFetchFailed = badRequest("failed to get HTTP URL content")
	errWrongType   = badRequest("wrong type of the web page content")
)

func isURL(value string) bool {
	return strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://")
}

// download gets media that a bot named by URL, as Telegram's servers do.
func (s *Server) download(ctx context.Context, address string, kind mediaKind) (*upload, facts, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" {
		return nil, facts{}, badRequest("wrong HTTP URL specified")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, facts{}, badRequest("wrong HTTP URL specified")
	}
	request.Header.Set("User-Agent", "TelegramBot (like TwitterBot)")
	response, err := s.fetch.Do(request)
	if err != nil {
		return nil, facts{}, errFetchFailed
	}
	defer response.Body.Close()
	limit := limitByURL(kind)
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil || response.StatusCode != http.StatusOK || int64(len(data)) > limit || len(data) == 0 {
		return nil, facts{}, errFetchFailed
	}
	name := path.Base(target.Path)
	f := examine(data, name, response.Header.Get("Content-Type"))
	if !acceptsByURL(kind, f.mime) {
		return nil, facts{}, errWrongType
	}
	return &upload{name: name, data: data}, f, nil
}

func limitByURL(kind mediaKind) int64 {
	switch kind {
	case kindPhoto:
		return maxPhotoByURL
	case kindVoice:
		return maxVoiceByURL
	}
	return maxFileByURL
}

// acceptsByURL is the documentation's list: as documents Telegram fetches only PDF, ZIP and GIF.
func acceptsByURL(kind mediaKind, mime string) bool {
	switch kind {
	case kindPhoto:
		return strings.HasPrefix(mime, "image/")
	case kindVideo:
		return mime == "video/mp4"
	case kindAnimation:
		return mime == "video/mp4" || mime == "image/gif"
	case kindAudio:
		return strings.HasPrefix(mime, "audio/")
	case kindVoice:
		return slices.Contains([]string{"audio/ogg", "audio/mpeg", "audio/mp4"}, mime)
	}
	return slices.Contains([]string{"application/pdf", "application/zip", "image/gif"}, mime)
}
