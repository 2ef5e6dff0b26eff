package kiesim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	fetchTimeout = 30 * time.Second // of a file that is uploaded by its URL
	linkLifetime = 20 * time.Minute
	accountPath  = "kieai/100001" // uploads lie under the number of the account
)

// uploadReply is the envelope of the upload endpoints.
type uploadReply struct {
	Success bool    `json:"success"`
	Code    int     `json:"code"`
	Msg     string  `json:"msg"`
	Data    *upload `json:"data"`
}

type upload struct {
	Success     bool   `json:"success"`
	FileName    string `json:"fileName"`
	FilePath    string `json:"filePath"`
	DownloadURL string `json:"downloadUrl"`
	FileSize    int64  `json:"fileSize"`
	MimeType    string `json:"mimeType"`
	UploadedAt  string `json:"uploadedAt"`
}

type uploadRequest struct {
	Base64Data string `json:"base64Data"`
	FileURL    string `json:"fileUrl"`
	UploadPath string `json:"uploadPath"`
	FileName   string `json:"fileName"`
}

func refuseUpload(w *reply, msg string) {
	w.code = http.StatusBadRequest
	writeJSON(w, http.StatusOK, uploadReply{Code: w.code, Msg: msg})
}

// uploadBase64 answers POST /api/file-base64-upload.
func (s *Server) uploadBase64(w *reply, r *http.Request) {
	var req uploadRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBase64)).Decode(&req); err != nil {
		refuseUpload(w, "The request body is too large or is not JSON")
		return
	}
	kind, data, err := decodeDataURL(req.Base64Data)
	if err != nil || len(data) == 0 {
		refuseUpload(w, "base64Data is not valid Base64")
		return
	}
	s.storeUpload(w, req, kind, bytes.NewReader(data))
}

// decodeDataURL accepts "data:image/png;base64,…" and bare Base64.
func decodeDataURL(text string) (kind string, data []byte, err error) {
	if rest, ok := strings.CutPrefix(text, "data:"); ok {
		head, body, found := strings.Cut(rest, ",")
		if !found {
			return "", nil, errors.New("data URL without a comma")
		}
		kind, text = strings.TrimSuffix(head, ";base64"), body
	}
	data, err = base64.StdEncoding.DecodeString(text)
	return kind, data, err
}

// uploadStream answers POST /api/file-stream-upload. The fields may stand before or after the file.
func (s *Server) uploadStream(w *reply, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	if err := r.ParseMultipartForm(8 << 20); err != nil {
		refuseUpload(w, "The request is not multipart/form-data or is too large")
		return
	}
	defer r.MultipartForm.RemoveAll()
	file, head, err := r.FormFile("file")
	if err != nil {
		refuseUpload(w, "file is required")
		return
	}
	defer file.Close()
	req := uploadRequest{UploadPath: r.FormValue("uploadPath"), FileName: r.FormValue("fileName")}
	if req.FileName == "" {
		req.FileName = randomName(path.Ext(head.Filename))
	}
	s.storeUpload(w, req, head.Header.Get("Content-Type"), file)
}

// uploadURL answers POST /api/file-url-upload by fetching the file.
func (s *Server) uploadURL(w *reply, r *http.Request) {
	var req uploadRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&req); err != nil {
		refuseUpload(w, "The request body is not JSON")
		return
	}
	if !isCallbackURL(req.FileURL) {
		refuseUpload(w, "fileUrl is not a valid URL")
		return
	}
	get, err := http.NewRequestWithContext(r.Context(), http.MethodGet, req.FileURL, nil)
	if err != nil {
		refuseUpload(w, "fileUrl is not a valid URL")
		return
	}
	resp, err := s.fetch.Do(get)
	if err != nil {
		refuseUpload(w, "Failed to download the file from fileUrl")
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		refuseUpload(w, fmt.Sprintf("Failed to download the file from fileUrl: status %d", resp.StatusCode))
		return
	}
	if req.FileName == "" {
		req.FileName = path.Base(get.URL.Path)
	}
	s.storeUpload(w, req, resp.Header.Get("Content-Type"), resp.Body)
}

func randomName(ext string) string {
	return strconv.FormatInt(time.Now().UnixMilli(), 10) + "-" + newTaskID()[:11] + ext
}

// storeUpload stores a file and answers where. A file of the same name is replaced, as the provider does.
func (s *Server) storeUpload(w *reply, req uploadRequest, kind string, file io.Reader) {
	if req.UploadPath == "" {
		refuseUpload(w, "uploadPath is required")
		return
	}
	kind, _, _ = mime.ParseMediaType(kind)
	base := path.Base(req.FileName)
	if base == "." || base == ".." || base == "/" {
		base = randomName(extension(kind))
	}
	// Cleaned as an absolute path, so that dots cannot climb.
	name := path.Join(accountPath, path.Clean("/"+req.UploadPath), base)
	size, err := s.write(name, file)
	if err != nil {
		s.log.Error("upload not kept", "name", name, "error", err)
		refuseUpload(w, "File upload failed")
		return
	}
	if byName := mime.TypeByExtension(path.Ext(name)); kind == "" || kind == "application/octet-stream" && byName != "" {
		kind = byName
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.code = http.StatusOK
	writeJSON(w, http.StatusOK, uploadReply{Success: true, Code: w.code, Msg: "File uploaded successfully", Data: &upload{
		Success: true, FileName: path.Base(name), FilePath: name, DownloadURL: s.baseURL() + "/files/uploads/" + escape(name),
		FileSize: size, MimeType: kind, UploadedAt: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
	}})
}

func extension(kind string) string {
	switch kind {
	case "image/jpeg":
		return ".jpg"
	case "audio/mpeg":
		return ".mp3"
	}
	if all, _ := mime.ExtensionsByType(kind); len(all) > 0 {
		return all[0]
	}
	return ""
}

func escape(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// write puts the file beside its place and then moves it there, so that a reader never sees half of it.
func (s *Server) write(name string, file io.Reader) (int64, error) {
	if err := s.uploads.MkdirAll(path.Dir(name), 0o755); err != nil {
		return 0, err
	}
	part := path.Join(path.Dir(name), "."+newTaskID()+".part")
	out, err := s.uploads.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	size, err := io.Copy(out, io.LimitReader(file, maxUpload+1))
	if size > maxUpload {
		err = errTooLarge
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = s.uploads.Rename(part, name)
	}
	if err != nil {
		_ = s.uploads.Remove(part) // The error that is reported is the first.
	}
	return size, err
}

// uploadedFile answers GET /files/uploads/{path}.
func (s *Server) uploadedFile(w *reply, r *http.Request) {
	name := r.PathValue("path")
	file, err := s.uploads.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	if !s.linkValid(r) {
		http.Error(w, "Request has expired", http.StatusForbidden)
		return
	}
	http.ServeContent(w, r, name, info.ModTime(), file)
}

// missesUpload reports whether an input links to an upload that is not here: the one kind of link that can be judged
// without fetching anything.
func (s *Server) missesUpload(v any) bool {
	switch v := v.(type) {
	case string:
		name, ours := strings.CutPrefix(v, s.baseURL()+"/files/uploads/")
		if !ours {
			return false
		}
		name, _, _ = strings.Cut(name, "?")
		name, err := url.PathUnescape(name)
		if err == nil {
			_, err = s.uploads.Stat(name)
		}
		return err != nil
	case []any:
		if slices.ContainsFunc(v, s.missesUpload) {
			return true
		}
	case map[string]any:
		for _, item := range v {
			if s.missesUpload(item) {
				return true
			}
		}
	}
	return false
}

// downloadURL answers POST /api/v1/common/download-url: the link to a result, valid for twenty minutes.
func (s *Server) downloadURL(w *reply, r *http.Request) {
	var req struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.URL == "" {
		w.envelope(http.StatusBadRequest, "url is required", nil)
		return
	}
	u, err := url.Parse(req.URL)
	if err != nil || !strings.HasPrefix(req.URL, s.baseURL()+"/files/") {
		w.envelope(http.StatusUnprocessableEntity, "The URL was not generated by this service", nil)
		return
	}
	expires := strconv.FormatInt(time.Now().Add(linkLifetime).Unix(), 10)
	u.RawQuery = url.Values{"Expires": {expires}, "Signature": {s.signLink(u.Path, expires)}}.Encode()
	w.ok(u.String())
}

// signLink signs the tail of a path, because a prefix may have been stripped before the server sees it again.
func (s *Server) signLink(address, expires string) string {
	_, tail, _ := strings.Cut(address, "/files/")
	return sign(s.cfg.APIKey, tail, expires)
}

// linkValid accepts plain links, which do not expire here, and signed ones until their time.
func (s *Server) linkValid(r *http.Request) bool {
	q := r.URL.Query()
	expires := q.Get("Expires")
	if expires == "" {
		return true
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && time.Now().Unix() < until && q.Get("Signature") == s.signLink(r.URL.Path, expires)
}
