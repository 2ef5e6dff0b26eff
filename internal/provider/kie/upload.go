package kie

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"time"

	"github.com/google/uuid"

	"kiosk/internal/provider"
)

// uploadTimeout is the patience for one file of up to 20 MB.
const uploadTimeout = 2 * time.Minute

// Upload streams a file to KIE's upload server. The name gets a random part:
// KIE overwrites equal names, and serves the old content for a while.
func (c *Client) Upload(ctx context.Context, name string, file io.Reader) (string, error) {
	start := time.Now()
	url, err := c.upload(ctx, name, file)
	c.record.Called("upload", start, err)
	return url, err
}

func (c *Client) upload(ctx context.Context, name string, file io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	body, contentType := form(uuid.NewString()+path.Ext(name), file)
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.uploads+"/api/file-stream-upload", body)
	if err != nil {
		return "", &provider.Error{Cause: provider.Unreachable, Message: "the address of the upload server is not usable; check KIE_UPLOAD_URL"}
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", contentType)
	client := &http.Client{Transport: c.http.Transport, CheckRedirect: notFollowed} // the context bounds it, not the calls' shorter limit
	resp, err := client.Do(req)
	if err != nil {
		e := notAnswered(err, true)
		e.Message = c.mask(e.Message)
		return "", e
	}
	defer resp.Body.Close()
	data, e := readAnswer(resp)
	if e != nil {
		e.Message = c.mask(e.Message)
		return "", e
	}
	var stored struct {
		URL string `json:"downloadUrl"`
	}
	if err := json.Unmarshal(data, &stored); err != nil || stored.URL == "" {
		return "", &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: http.StatusOK, Message: "stored without an address", After: 5 * time.Second}
	}
	return stored.URL, nil
}

// form writes a multipart body while it is read. Closing the reader ends the writer.
func form(name string, file io.Reader) (io.ReadCloser, string) {
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() {
		part, err := w.CreateFormFile("file", name)
		if err == nil {
			_, err = io.Copy(part, file)
		}
		if err == nil {
			err = errors.Join(w.WriteField("uploadPath", "kiosk"), w.WriteField("fileName", name), w.Close())
		}
		pw.CloseWithError(err)
	}()
	return pr, w.FormDataContentType()
}
