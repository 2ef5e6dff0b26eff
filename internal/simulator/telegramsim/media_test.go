package telegramsim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"kiosk/internal/simulator/telegramsim"
)

// site serves files for the simulator to download.
func site(t *testing.T, files map[string][]byte) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// wav is a second and a half of silence.
func wav() []byte {
	const rate, bytesOfSound = 8000, 8000 * 3
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WAVEfmt ")
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(rate * 2), uint16(2), uint16(16)} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, uint32(bytesOfSound))
	b.Write(make([]byte, bytesOfSound))
	return b.Bytes()
}

func box(kind string, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(out, kind...), body...)
}

// movie is the smallest MP4 that says how large and how long it is: 640x360, 5 s.
func movie() []byte {
	header := make([]byte, 100)
	binary.BigEndian.PutUint32(header[12:], 1000)
	binary.BigEndian.PutUint32(header[16:], 5000)
	track := make([]byte, 84)
	binary.BigEndian.PutUint32(track[76:], 640<<16)
	binary.BigEndian.PutUint32(track[80:], 360<<16)
	return append(box("ftyp", []byte("isom\x00\x00\x00\x00")),
		box("moov", append(box("mvhd", header), box("trak", box("tkhd", track))...))...)
}

func decode(t *testing.T, a answer) telegramsim.Message {
	t.Helper()
	if !a.OK {
		t.Fatalf("refused: %d %s", a.ErrorCode, a.Description)
	}
	var m telegramsim.Message
	if err := json.Unmarshal(a.Result, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPhoto_UploadedDownloadedAndSentAgain(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	data := picture(640, 480)
	m := decode(t, s.upload("/bot"+token+"/sendPhoto", map[string]string{"chat_id": text(u.ID), "caption": "<b>c</b>", "parse_mode": "HTML"},
		formFile{"photo", "a.png", data}))
	if m.Caption != "c" || summary(m.CaptionEntities) != "bold@0+1" {
		t.Errorf("caption: %q %s", m.Caption, summary(m.CaptionEntities))
	}
	if len(m.Photo) != 3 {
		t.Fatalf("sizes: %+v", m.Photo)
	}
	for i, want := range []struct{ w, h int }{{90, 67}, {320, 240}, {640, 480}} {
		got, err := s.FileBytes(m.Photo[i].FileID)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := image.DecodeConfig(bytes.NewReader(got))
		if err != nil || c.Width != want.w || c.Height != want.h || m.Photo[i].Width != want.w || m.Photo[i].FileSize != int64(len(got)) {
			t.Errorf("size %d: %+v, really %dx%d, %d bytes, %v", i, m.Photo[i], c.Width, c.Height, len(got), err)
		}
	}
	largest := m.Photo[2].FileID

	var f struct {
		Path string `json:"file_path"`
		Size int    `json:"file_size"`
	}
	s.must("getFile", obj{"file_id": largest}, &f)
	for _, path := range []string{"/file/bot" + token + "/" + f.Path, "/sim/files/" + largest} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if !bytes.Equal(got, data) || f.Size != len(data) {
			t.Errorf("%s: %d bytes of %d", path, len(got), len(data))
		}
	}

	var again telegramsim.Message
	s.must("sendPhoto", obj{"chat_id": u.ID, "photo": largest}, &again)
	if again.Photo[2].FileID != largest {
		t.Errorf("by file_id: %+v", again.Photo)
	}
	s.refused("sendVideo", obj{"chat_id": u.ID, "video": largest}, 400, "Bad Request: can't use file of type Photo as Video")
}

func TestMedia_ByURL(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	huge := append(picture(8, 8), make([]byte, 5<<20)...)
	web := site(t, map[string][]byte{"/p.png": picture(100, 50), "/huge.png": huge, "/page": []byte("<html>no</html>"),
		"/v.mp4": movie(), "/s.wav": wav(), "/empty": {}, "/d.pdf": []byte("%PDF-1.7 x")})
	at := func(field, path string) obj { return obj{"chat_id": u.ID, field: web + path} }

	var m telegramsim.Message
	s.must("sendPhoto", at("photo", "/p.png"), &m)
	if p := m.Photo[len(m.Photo)-1]; p.Width != 100 || p.Height != 50 {
		t.Errorf("photo: %+v", m.Photo)
	}
	s.must("sendVideo", at("video", "/v.mp4"), &m)
	if v := m.Video; v == nil || v.Width != 640 || v.Height != 360 || *v.Duration != 5 || v.MIMEType != "video/mp4" || v.FileName != "v.mp4" {
		t.Errorf("video: %+v", m.Video)
	}
	s.must("sendAudio", at("audio", "/s.wav"), &m)
	if a := m.Audio; a == nil || *a.Duration != 2 {
		t.Errorf("audio: %+v", m.Audio)
	}
	s.must("sendDocument", at("document", "/d.pdf"), &m)
	if d := m.Document; d == nil || d.MIMEType != "application/pdf" || d.Duration != nil {
		t.Errorf("document: %+v", m.Document)
	}
	for _, c := range []struct{ method, field, path, description string }{
		{"sendPhoto", "photo", "/missing", "Bad Request: failed to get HTTP URL content"},
		{"sendPhoto", "photo", "/huge.png", "Bad Request: failed to get HTTP URL content"},
		{"sendPhoto", "photo", "/empty", "Bad Request: failed to get HTTP URL content"},
		{"sendPhoto", "photo", "/page", "Bad Request: wrong type of the web page content"},
		{"sendVideo", "video", "/p.png", "Bad Request: wrong type of the web page content"},
		{"sendDocument", "document", "/p.png", "Bad Request: wrong type of the web page content"},
	} {
		s.refused(c.method, at(c.field, c.path), 400, c.description)
	}
}

func TestMedia_UploadsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	send := func(method, field string, data []byte) answer {
		return s.upload("/bot"+token+"/"+method, map[string]string{"chat_id": text(u.ID)}, formFile{field, "f", data})
	}
	for _, c := range []struct {
		method, field string
		data          []byte
		code          int
		description   string
	}{
		{"sendPhoto", "photo", []byte("no picture"), 400, "Bad Request: IMAGE_PROCESS_FAILED"},
		{"sendPhoto", "photo", picture(4200, 200), 400, "Bad Request: PHOTO_INVALID_DIMENSIONS"},
		{"sendPhoto", "photo", append(picture(8, 8), make([]byte, 10<<20)...), 400, "Bad Request: file of size"},
		{"sendDocument", "document", nil, 400, "Bad Request: file must be non-empty"},
		{"sendDocument", "document", make([]byte, 50<<20+1), 413, "Request Entity Too Large"},
	} {
		if a := send(c.method, c.field, c.data); a.ErrorCode != c.code || len(a.Description) < len(c.description) || a.Description[:len(c.description)] != c.description {
			t.Errorf("%s: %d %s, want %d %s", c.method, a.ErrorCode, a.Description, c.code, c.description)
		}
	}
	if a := send("sendDocument", "document", make([]byte, 21<<20)); a.OK {
		m := decode(t, a)
		s.refused("getFile", obj{"file_id": m.Document.FileID}, 400, "Bad Request: file is too big")
	} else {
		t.Errorf("21 MB upload: %+v", a)
	}
}

func TestMediaGroup_AttachesAndBlamesTheRightItem(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	web := site(t, map[string][]byte{"/p.png": picture(10, 10)})
	media, _ := json.Marshal([]obj{
		{"type": "photo", "media": "attach://one", "caption": "<i>x</i>", "parse_mode": "HTML"},
		{"type": "photo", "media": web + "/p.png"}, {"type": "video", "media": "attach://two"},
	})
	a := s.upload("/bot"+token+"/sendMediaGroup", map[string]string{"chat_id": text(u.ID), "media": string(media)},
		formFile{"one", "1.png", picture(20, 20)}, formFile{"two", "2.mp4", movie()})
	var group []telegramsim.Message
	if err := json.Unmarshal(a.Result, &group); err != nil {
		t.Fatalf("%+v", a)
	}
	if len(group) != 3 || group[0].MediaGroupID == "" || group[2].MediaGroupID != group[0].MediaGroupID ||
		group[0].Caption != "x" || group[2].Video == nil {
		t.Errorf("group: %+v", group)
	}
	s.refused("sendMediaGroup", obj{"chat_id": u.ID, "media": []obj{
		{"type": "photo", "media": web + "/p.png"}, {"type": "photo", "media": web + "/missing"},
	}}, 400, `Bad Request: failed to send message #2 with the error message "WEBPAGE_CURL_FAILED"`)
	if n := len(s.Messages(u.ID)); n != 4 {
		t.Errorf("a refused group must leave nothing: %d messages", n)
	}
}

func TestEditMessageMedia_TurnsTextIntoPicture(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	m := s.send(obj{"chat_id": u.ID, "text": "generating"})
	media, _ := json.Marshal(obj{"type": "photo", "media": "attach://p", "caption": "done"})
	edited := decode(t, s.upload("/bot"+token+"/editMessageMedia", map[string]string{
		"chat_id": text(u.ID), "message_id": text(m.MessageID), "media": string(media)}, formFile{"p", "p.png", picture(30, 30)}))
	if edited.Text != "" || len(edited.Photo) != 1 || edited.Caption != "done" || edited.MessageID != m.MessageID {
		t.Errorf("edited: %+v", edited)
	}
	same := obj{"type": "photo", "media": edited.Photo[0].FileID, "caption": "done"}
	s.refused("editMessageMedia", obj{"chat_id": u.ID, "message_id": m.MessageID, "media": same}, 400, "Bad Request: message is not modified")
	s.refused("editMessageText", obj{"chat_id": u.ID, "message_id": m.MessageID, "text": "x"}, 400, "Bad Request: there is no text in the message to edit")
}

func TestPeople_SendFilesAndAlbums(t *testing.T) {
	t.Parallel()
	s, b := newSim(t), newBot(t, nil)
	s.hook(b, nil)
	u := s.NewUser("Ada", "en")
	var one telegramsim.Message
	raw := s.uploadControl(path(u.ID, "messages"), map[string]string{"caption": "/do it"}, formFile{"photo", "a.png", picture(100, 100)})
	if err := json.Unmarshal(raw, &one); err != nil || len(one.Photo) != 2 || one.Caption != "/do it" {
		t.Fatalf("%s %v", raw, err)
	}
	raw = s.uploadControl(path(u.ID, "messages"), map[string]string{"caption": "c"},
		formFile{"photo", "a.png", picture(50, 50)}, formFile{"photo", "b.png", picture(60, 60)}, formFile{"video", "v.mp4", movie()})
	var album []telegramsim.Message
	if err := json.Unmarshal(raw, &album); err != nil || len(album) != 3 {
		t.Fatalf("%s %v", raw, err)
	}
	got := b.wait(t, 4)
	first, last := got[1].update.Message, got[3].update.Message
	if first.MediaGroupID == "" || first.MediaGroupID != last.MediaGroupID || first.Caption != "c" || last.Caption != "" || last.Video == nil {
		t.Errorf("album updates: %+v, %+v", first, last)
	}
	raw = s.uploadControl(path(u.ID, "messages"), nil, formFile{"voice", "v.wav", wav()})
	var voice telegramsim.Message
	if err := json.Unmarshal(raw, &voice); err != nil || voice.Voice == nil || *voice.Voice.Duration != 2 {
		t.Errorf("voice: %s", raw)
	}
}

// uploadControl makes a control call in multipart form and returns the answer.
func (s *sim) uploadControl(path string, fields map[string]string, files ...formFile) []byte {
	s.t.Helper()
	body, contentType := form(s.t, fields, files)
	response, err := http.Post(s.url+path, contentType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func TestFiles_DoNotRunAsPages(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	sent, err := s.SendFile(u.ID, "", telegramsim.Attachment{Kind: "document", Name: "x.html", Data: []byte("<script>alert(1)</script>")})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(s.url + "/sim/files/" + sent[0].Document.FileID)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if h := response.Header; h.Get("Content-Disposition") != "attachment" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", h)
	}
	sum := sha256.Sum256([]byte("<script>alert(1)</script>"))
	if data, err := s.FileBytes(sent[0].Document.FileID); err != nil || sha256.Sum256(data) != sum {
		t.Errorf("bytes %s, %v", hex.EncodeToString(data), err)
	}
}

// FuzzMedia: whatever a person attaches is taken or refused.
func FuzzMedia(f *testing.F) {
	for _, seed := range [][]byte{picture(3, 3), wav()[:60], movie(), []byte("ID3\x03\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00"),
		[]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00")} {
		f.Add(seed)
	}
	server, err := telegramsim.New(telegramsim.Config{Token: token})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { server.Close() })
	u := server.NewUser("A", "")
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"photo", "video", "audio", "voice", "document", "animation", "nonsense"} {
			// Only a panic is wrong here.
			_, _ = server.SendFile(u.ID, "", telegramsim.Attachment{Kind: kind, Name: "x.mp3", Data: data})
		}
	})
}
