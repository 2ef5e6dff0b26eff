package telegramsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// mediaKind is what a file is to Telegram. A file_id can be sent again only as what it was.
type mediaKind string

const (
	kindPhoto     mediaKind = "photo"
	kindVideo     mediaKind = "video"
	kindAudio     mediaKind = "audio"
	kindVoice     mediaKind = "voice"
	kindDocument  mediaKind = "document"
	kindAnimation mediaKind = "animation"
)

// file is a stored file. It is immutable once its ID has been given to anybody.
type file struct {
	ID       string      `json:"id"`
	UniqueID string      `json:"unique_id"`
	Path     string      `json:"path"` // as getFile gives it
	Kind     mediaKind   `json:"kind"`
	Name     string      `json:"name,omitempty"`
	MIME     string      `json:"mime"`
	Size     int64       `json:"size"`
	SHA256   string      `json:"sha256"`
	Width    int         `json:"width,omitempty"`
	Height   int         `json:"height,omitempty"`
	Seconds  int         `json:"seconds,omitempty"`
	Title    string      `json:"title,omitempty"`
	Artist   string      `json:"artist,omitempty"`
	Sizes    []PhotoSize `json:"sizes,omitempty"` // of a photo, all of them, smallest first; the same list in each

	data []byte // in memory when there is no DataDir
}

// traits are what each kind's identifiers and paths look like on the real server.
func (k mediaKind) traits() (idPrefix, folder, extension string) {
	switch k {
	case kindPhoto:
		return "AgACAgIAAxkBAA", "photos", ".jpg"
	case kindVideo:
		return "BAACAgIAAxkBAA", "videos", ".mp4"
	case kindAudio:
		return "CQACAgIAAxkBAA", "music", ".mp3"
	case kindVoice:
		return "AwACAgIAAxkBAA", "voice", ".oga"
	case kindAnimation:
		return "CgACAgIAAxkBAA", "animations", ".mp4"
	}
	return "BQACAgIAAxkBAA", "documents", ""
}

// title is the kind as Telegram's errors name it.
func (k mediaKind) title() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// blobs keeps bytes in a folder, or in the files themselves when it has none.
type blobs struct{ dir string }

func (b blobs) path(f *file) string { return filepath.Join(b.dir, f.UniqueID) }

func (b blobs) put(f *file, data []byte) error {
	if b.dir == "" {
		f.data = data
		return nil
	}
	return writeAtomically(b.path(f), data)
}

func (b blobs) open(f *file) (io.ReadSeekCloser, error) {
	if b.dir == "" {
		return nopCloser{bytes.NewReader(f.data)}, nil
	}
	return os.Open(b.path(f))
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// writeAtomically leaves either the old file or the whole new one, whatever dies.
func writeAtomically(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// store keeps data as a new file.
func (s *Server) store(f *file, data []byte) (*file, error) {
	prefix, folder, extension := f.Kind.traits()
	sum := sha256.Sum256(data)
	f.ID, f.UniqueID = prefix+randomToken(36), "AQAD"+randomToken(9)
	f.Size, f.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
	if own := filepath.Ext(f.Name); own != "" && f.Kind != kindPhoto {
		extension = own
	}
	if err := s.blobs.put(f, data); err != nil {
		return nil, fmt.Errorf("store file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Path = fmt.Sprintf("%s/file_%d%s", folder, s.lastFile, extension)
	s.lastFile++
	s.files[f.ID], s.paths[f.Path] = f, f
	s.changedLocked()
	return f, nil
}

func (s *Server) findFile(id string) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[id]
}

// serveBotFile answers /file/bot<token>/<path>.
func (s *Server) serveBotFile(w http.ResponseWriter, r *http.Request, rest string) {
	token, path, _ := strings.Cut(rest, "/")
	if !s.knowsToken(token) {
		writeReply(w, reply{err: errUnauthorized})
		return
	}
	s.mu.Lock()
	f := s.paths[path]
	s.mu.Unlock()
	if f == nil {
		writeReply(w, reply{err: &apiError{Code: http.StatusNotFound, Description: "Not Found"}})
		return
	}
	// Telegram gives every file as bytes without a type.
	w.Header().Set("Content-Type", "application/octet-stream")
	s.serveFile(w, r, f)
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, f *file) {
	content, err := s.blobs.open(f)
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "the bytes of this file are gone", http.StatusNotFound)
		return
	}
	if err != nil {
		s.log.Error("file cannot be opened", "file_id", f.ID, "error", err)
		http.Error(w, "the file cannot be opened", http.StatusInternalServerError)
		return
	}
	defer content.Close()
	http.ServeContent(w, r, "", time.Time{}, content)
}

// FileBytes returns the content of a file that is in some message.
func (s *Server) FileBytes(fileID string) ([]byte, error) {
	f := s.findFile(fileID)
	if f == nil {
		return nil, fmt.Errorf("telegram simulator: no file %q", fileID)
	}
	content, err := s.blobs.open(f)
	if err != nil {
		return nil, fmt.Errorf("telegram simulator: open file: %w", err)
	}
	defer content.Close()
	return io.ReadAll(content)
}
