package kiesim_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"kiosk/internal/simulator/kiesim"
)

func film(t *testing.T, a account, ratio, seconds string) []byte {
	t.Helper()
	urls := a.urls("kling-2.6/text-to-video", map[string]any{
		"prompt": "Волна поднимается над городом", "sound": false, "aspect_ratio": ratio, "duration": seconds,
	})
	resp, data := get(t, urls[0])
	if resp.Header.Get("Content-Type") != "video/mp4" || resp.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("headers: %v", resp.Header)
	}
	return data
}

// boxes returns the children of an ISO box by kind, and their order.
func boxes(t *testing.T, data []byte) (byKind map[string][]byte, order string) {
	t.Helper()
	byKind = map[string][]byte{}
	for len(data) > 0 {
		if len(data) < 8 {
			t.Fatalf("%d bytes after the last box", len(data))
		}
		size := binary.BigEndian.Uint32(data)
		if size < 8 || int(size) > len(data) {
			t.Fatalf("box of %d bytes in %d", size, len(data))
		}
		kind := string(data[4:8])
		byKind[kind], order = data[8:size], order+kind+" "
		data = data[size:]
	}
	return byKind, strings.TrimSpace(order)
}

// descend follows a path of boxes.
func descend(t *testing.T, data []byte, path ...string) []byte {
	t.Helper()
	for _, kind := range path {
		children, order := boxes(t, data)
		child, ok := children[kind]
		if !ok {
			t.Fatalf("no %s among %s", kind, order)
		}
		data = child
	}
	return data
}

func TestVideo_IsAFastStartFileWhoseIndexMatchesItsData(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, c := range []struct {
		ratio, seconds string
		width, height  uint32
	}{{"16:9", "5", 320, 176}, {"9:16", "10", 176, 320}, {"1:1", "5", 320, 320}} {
		data := film(t, a, c.ratio, c.seconds)
		if len(data) > 5<<20 {
			t.Errorf("%s: %d bytes", c.ratio, len(data))
		}
		if _, order := boxes(t, data); order != "ftyp moov mdat" {
			t.Fatalf("boxes %s", order)
		}
		tkhd := descend(t, data, "moov", "trak", "tkhd")
		w, h := binary.BigEndian.Uint32(tkhd[76:])>>16, binary.BigEndian.Uint32(tkhd[80:])>>16
		mdhd := descend(t, data, "moov", "trak", "mdia", "mdhd")
		seconds := binary.BigEndian.Uint32(mdhd[16:]) / binary.BigEndian.Uint32(mdhd[12:])
		if w != c.width || h != c.height || seconds != uint32(c.seconds[0]-'0')+9*uint32(len(c.seconds)-1) {
			t.Errorf("%s: %dx%d of %d s", c.ratio, w, h, seconds)
		}
		checkSamples(t, data)
	}
}

// checkSamples walks the samples by the index: each must be one slice, and the last must end with the file.
func checkSamples(t *testing.T, data []byte) {
	t.Helper()
	stbl := descend(t, data, "moov", "trak", "mdia", "minf", "stbl")
	stsz, stss := descend(t, stbl, "stsz"), descend(t, stbl, "stss")
	at := binary.BigEndian.Uint32(descend(t, stbl, "stco")[8:])
	keys := map[uint32]bool{}
	for i := range binary.BigEndian.Uint32(stss[4:]) {
		keys[binary.BigEndian.Uint32(stss[8+4*i:])] = true
	}
	count := binary.BigEndian.Uint32(stsz[8:])
	for i := range count {
		size := binary.BigEndian.Uint32(stsz[12+4*i:])
		if unit := binary.BigEndian.Uint32(data[at:]); unit != size-4 {
			t.Fatalf("picture %d: unit of %d bytes in a sample of %d", i+1, unit, size)
		}
		want := byte(1)
		if keys[i+1] {
			want = 5
		}
		if kind := data[at+4] & 31; kind != want {
			t.Fatalf("picture %d: unit of type %d, want %d", i+1, kind, want)
		}
		at += size
	}
	if int(at) != len(data) || !keys[1] {
		t.Errorf("samples end at %d of %d; first is a key: %v", at, len(data), keys[1])
	}
}

func TestVideo_IsServedInRanges(t *testing.T) {
	t.Parallel()
	a := start(t)
	url := a.urls("veo-3-1", prompt("a wave"))[0]
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=4-7")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var kind [8]byte
	n, _ := resp.Body.Read(kind[:])
	if resp.StatusCode != http.StatusPartialContent || string(kind[:n]) != "ftyp" {
		t.Errorf("status %d, %q", resp.StatusCode, kind[:n])
	}
}

func TestVideo_LastFrameIsReturnedOnDemand(t *testing.T) {
	t.Parallel()
	a := start(t)
	rec := a.ended(a.mustCreate("bytedance/seedance-2", map[string]any{"prompt": "a wave", "return_last_frame": true}, ""))
	result := decode[struct{ ResultURLs, FirstFrameURL, LastFrameURL []string }](t, []byte(*rec.ResultJSON))
	if len(result.ResultURLs) != 1 || len(result.FirstFrameURL) != 1 || len(result.LastFrameURL) != 1 {
		t.Fatalf("result %s", *rec.ResultJSON)
	}
	if resp, _ := get(t, result.LastFrameURL[0]); resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("last frame is %s", resp.Header.Get("Content-Type"))
	}
}

func TestMusic_ReturnsTwoTracks(t *testing.T) {
	t.Parallel()
	a := start(t)
	rec := a.ended(a.mustCreate("ai-music-api/generate", map[string]any{
		"custom_mode": false, "instrumental": true, "model": "V6", "prompt": "a calm evening", "title": "Evening",
	}, ""))
	tracks := decode[struct {
		Data []struct {
			ID, Title string
			Duration  float64
			AudioURL  string `json:"audio_url"`
			ImageURL  string `json:"image_url"`
		}
	}](t, []byte(*rec.ResultJSON)).Data
	if len(tracks) != 2 || tracks[0].ID == tracks[1].ID || tracks[0].Title != "Evening" {
		t.Fatalf("tracks %+v", tracks)
	}
	var sounds [2][]byte
	for i, track := range tracks {
		resp, data := get(t, track.AudioURL)
		if resp.Header.Get("Content-Type") != "audio/mpeg" || !strings.HasSuffix(track.AudioURL, ".mp3") {
			t.Errorf("track %d is %s", i, resp.Header.Get("Content-Type"))
		}
		if got := mp3Seconds(t, data); got > track.Duration || got < track.Duration-0.1 {
			t.Errorf("track %d lasts %v s, %v s said", i, got, track.Duration)
		}
		if resp, _ := get(t, track.ImageURL); resp.StatusCode != 200 {
			t.Errorf("cover %d: status %d", i, resp.StatusCode)
		}
		sounds[i] = data
	}
	if bytes.Equal(sounds[0], sounds[1]) {
		t.Error("both tracks are the same")
	}
}

// mp3Seconds walks the frames of MPEG-2 layer III at 24 kHz and 32 kbit/s.
func mp3Seconds(t *testing.T, data []byte) float64 {
	t.Helper()
	const frame = 96
	if len(data)%frame != 0 {
		t.Fatalf("%d bytes are not whole frames", len(data))
	}
	for at := 0; at < len(data); at += frame {
		if head := binary.BigEndian.Uint32(data[at:]); head != 0xFFF344C0 {
			t.Fatalf("header %08X at %d", head, at)
		}
		// part2_3_length, the 12 bits after main_data_begin and a private bit, must fit into the frame.
		if bits := binary.BigEndian.Uint32(data[at+4:]) << 9 >> 20; bits > 8*(frame-4-9) {
			t.Fatalf("%d bits of lines at %d", bits, at)
		}
	}
	return float64(len(data)/frame*576) / 24000
}

func TestMusic_IsConvertedToWAV(t *testing.T) {
	t.Parallel()
	a := start(t)
	url := a.urls("ai-music-api/convert-to-wav-format", map[string]any{"task_id": "x", "audio_id": "y"})[0]
	resp, data := get(t, url)
	size := binary.LittleEndian.Uint32(data[40:])
	if resp.Header.Get("Content-Type") != "audio/wav" || string(data[8:16]) != "WAVEfmt " || int(size) != len(data)-44 {
		t.Errorf("%s, %d bytes of sound in %d", resp.Header.Get("Content-Type"), size, len(data))
	}
}

func TestResult_OfTextLikeModelsIsAnObject(t *testing.T) {
	t.Parallel()
	a := start(t)
	for model, input := range map[string]map[string]any{
		"ai-music-api/generate-lyrics":    prompt("rain"),
		"omnihuman-1-5/subject-detection": {"image_url": "https://example.com/a.png"},
		"elevenlabs/speech-to-text":       {"audio_url": "https://example.com/a.mp3"},
	} {
		rec := a.ended(a.mustCreate(model, input, ""))
		if rec.State != kiesim.StateSuccess || !strings.HasPrefix(*rec.ResultJSON, `{"resultObject":{`) {
			t.Errorf("%s: %s", model, *rec.ResultJSON)
		}
	}
}
