package kiesim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxPictures = 15
	maxSeconds  = 10 // of a video; the price is for what was asked
)

// shelf gives out the addresses of a task's result files and remembers their names.
type shelf struct {
	prefix string
	names  []string
}

func (f *shelf) url(name string) string {
	f.names = append(f.names, name)
	return f.prefix + name
}

func (f *shelf) urls(n int, ext string) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = f.url(strconv.Itoa(i) + ext)
	}
	return urls
}

// result describes the outcome of a successful task in the shape that its model has, and names its files.
func (s *Server) result(t Task) (result any, files []string) {
	m, ok := s.models.byID[t.Model]
	if !ok { // A snapshot of another version may hold a model that is gone.
		return map[string]any{"resultUrls": []string{}}, nil
	}
	in := m.complete(t.Input)
	f := &shelf{prefix: s.baseURL() + "/files/results/" + t.ID + "/"}
	switch {
	case strings.HasPrefix(m.ID, "ai-music-api/"):
		result = m.musicResult(f, t, in)
	case m.Modality == "audio":
		result = m.soundResult(f, in)
	case m.Modality == "video":
		result = m.videoResult(f, in)
	default:
		result = m.pictureResult(f, in)
	}
	return result, f.names
}

func resultURLs(urls ...string) map[string]any { return map[string]any{"resultUrls": urls} }

func resultObject(object map[string]any) map[string]any {
	return map[string]any{"resultObject": object}
}

func (m *model) pictureResult(f *shelf, in input) any {
	switch m.ID {
	case "omnihuman-1-5/subject-detection", "grok-imagine-image-2-0/segment-map":
		return resultObject(map[string]any{"mask_urls": f.urls(2, ".png")})
	case "omnihuman-1-5/human-identification":
		return resultObject(map[string]any{"has_human": true})
	}
	return resultURLs(f.urls(m.pictures(in), pictureExt(in))...)
}

// pictures is how many pictures a task makes.
func (m *model) pictures(in input) int {
	switch m.ID {
	case "grok-imagine/text-to-image":
		return 6
	case "seedream/5-pro-layer-decomposition":
		return 4
	}
	n, ok := in.number("num_images", "max_images", "n")
	if !ok {
		return 1
	}
	return min(max(int(n), 1), maxPictures)
}

func pictureExt(in input) string {
	if f := in.text("output_format"); f == "jpeg" || f == "jpg" {
		return ".jpg"
	}
	return ".png"
}

func (m *model) videoResult(f *shelf, in input) any {
	result := resultURLs(f.url("0.mp4"))
	if in.has("return_last_frame") {
		result["firstFrameUrl"] = []string{f.url("first.png")}
		result["lastFrameUrl"] = []string{f.url("last.png")}
	}
	return result
}

func (m *model) soundResult(f *shelf, in input) any {
	if m.ID == "elevenlabs/speech-to-text" {
		return resultObject(map[string]any{"text": "A simulated transcript.", "language_code": "eng"})
	}
	return resultURLs(f.url("0.mp3"))
}

// musicResult follows the shapes of the music API, where only some of the operations make tracks.
func (m *model) musicResult(f *shelf, t Task, in input) any {
	switch _, operation, _ := strings.Cut(m.ID, "/"); operation {
	case "generate", "extend", "add-instrumental", "add-vocals", "mashup", "sounds", "replace-section",
		"upload-and-cover-audio", "upload-and-extend-audio", "suno-recovery-audio":
		return map[string]any{"data": []any{m.track(f, t, in, 0), m.track(f, t, in, 1)}}
	case "convert-to-wav-format":
		return resultURLs(f.url("0.wav"))
	case "create-music-video":
		return resultURLs(f.url("0.mp4"))
	case "separate-vocals":
		return resultURLs(f.urls(2, ".mp3")...)
	case "cover-generate":
		return resultURLs(f.urls(2, ".png")...)
	case "generate-lyrics":
		verse := map[string]any{"title": "Simulated", "status": "complete", "text": "[Verse]\n" + in.prompt()}
		return resultObject(map[string]any{"lyricsData": []any{verse, verse}})
	}
	return resultObject(map[string]any{"id": t.ID, "text": in.prompt()})
}

func (m *model) track(f *shelf, t Task, in input, n int) map[string]any {
	sound := f.url(fmt.Sprintf("%d.mp3", n))
	title := in.text("title")
	if title == "" {
		title = "Melody"
	}
	return map[string]any{
		"id": fmt.Sprintf("%s-%d", t.ID, n), "title": title, "duration": soundSeconds(in), "audio_url": sound,
		"stream_audio_url": sound, "image_url": f.url(fmt.Sprintf("%d.png", n)), "model_name": in.text("model"),
		"prompt": in.prompt(), "tags": in.text("tags", "style"), "createTime": t.Created.UnixMilli(),
	}
}

// soundSeconds keeps music long enough to be heard and small enough to be sent.
func soundSeconds(in input) float64 {
	if n, ok := in.number("duration", "duration_seconds"); ok && n > 0 {
		return min(max(n, 2), 30)
	}
	return 12
}

// resultFile answers GET /files/results/{task}/{name}.
func (s *Server) resultFile(w *reply, r *http.Request) {
	t, ok := s.find(r.PathValue("task"))
	name := r.PathValue("name")
	if !ok || t.State != StateSuccess {
		http.NotFound(w, r)
		return
	}
	if _, names := s.result(t); !slices.Contains(names, name) {
		http.NotFound(w, r)
		return
	}
	if !s.linkValid(r) {
		http.Error(w, "Request has expired", http.StatusForbidden)
		return
	}
	data, err := s.cache.get(t.ID+"/"+name, func() ([]byte, error) { return s.render(t, name) })
	if err != nil {
		s.log.Error("result not made", "task_id", t.ID, "name", name, "error", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mimeType(name))
	http.ServeContent(w, r, name, t.Ended.Truncate(time.Second), bytes.NewReader(data))
}

// render draws, films or plays one result file.
func (s *Server) render(t Task, name string) ([]byte, error) {
	m := s.models.byID[t.Model]
	in := m.complete(t.Input)
	rng := seeded(t.Model, in.prompt(), name)
	scene := scene{text: in.prompt(), label: t.Model, ratio: ratioOf(in, m.Modality)}
	if scene.text == "" {
		scene.text = m.Title
	}
	switch ext := path.Ext(name); ext {
	case ".mp4":
		return s.paint.video(scene, min(in.seconds(), maxSeconds), rng)
	case ".mp3":
		return mp3(compose(soundSeconds(in), rng), soundSeconds(in)), nil
	case ".wav":
		return wav(compose(soundSeconds(in), rng), soundSeconds(in)), nil
	default:
		return s.paint.picture(scene, ext, rng)
	}
}

// seeded returns a source of numbers that depends on the words alone.
func seeded(parts ...string) *rand.Rand {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// mimeType names the types that differ between systems' tables.
func mimeType(name string) string {
	switch path.Ext(name) {
	case ".mp4":
		return "video/mp4"
	case ".mp3":
		return "audio/mpeg"
	case ".wav":
		return "audio/wav"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	}
	return ""
}

// cache holds the latest result files, so that a player that asks for ranges does not have them made anew each time.
type cache struct {
	mu    sync.Mutex
	items map[string]*cacheItem
	order []string
}

type cacheItem struct {
	once sync.Once
	data []byte
	err  error
}

const maxCached = 16

func newCache() *cache { return &cache{items: map[string]*cacheItem{}} }

// get returns what render made for the key; whoever asks meanwhile waits for the same.
func (c *cache) get(key string, render func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	item, ok := c.items[key]
	if !ok {
		item = &cacheItem{}
		c.items[key] = item
		if c.order = append(c.order, key); len(c.order) > maxCached {
			delete(c.items, c.order[0])
			c.order = c.order[1:]
		}
	}
	c.mu.Unlock()
	item.once.Do(func() { item.data, item.err = render() })
	return item.data, item.err
}
