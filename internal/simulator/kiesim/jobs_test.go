package kiesim_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/kiesim"
)

const picture = "google/nano-banana" // a model that asks for a prompt and costs 4 credits

func prompt(text string) map[string]any { return map[string]any{"prompt": text} }

// signed reports whether a delivery carries the account's signature of the task that it speaks of.
func signed(d delivery) bool {
	stamp := d.header.Get("X-Webhook-Timestamp")
	mac := hmac.New(sha256.New, []byte(hmacKey))
	mac.Write([]byte(d.record.TaskID + "." + stamp))
	got, err := base64.StdEncoding.DecodeString(d.header.Get("X-Webhook-Signature"))
	seconds, stampErr := strconv.ParseInt(stamp, 10, 64)
	age := time.Since(time.Unix(seconds, 0)).Abs()
	return err == nil && stampErr == nil && age < time.Minute && hmac.Equal(got, mac.Sum(nil))
}

func TestTask_WalksFromCreationToCallback(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t)
	before := a.credits()
	id := a.mustCreate(picture, prompt("кот & <dog>"), url)

	d := receive(t, deliveries)
	if d.code != 200 || d.msg != "Playground task completed successfully." || !signed(d) {
		t.Errorf("callback: code %d, msg %q, signed %v", d.code, d.msg, signed(d))
	}
	if d.record.TaskID != id || d.record.State != kiesim.StateSuccess {
		t.Errorf("callback speaks of %s in state %s", d.record.TaskID, d.record.State)
	}
	rec := a.record(id)
	if rec.State != kiesim.StateSuccess || rec.SuccessFlag != 1 || rec.FailCode != nil || rec.CompleteTime == nil {
		t.Errorf("record: %+v", rec)
	}
	if *rec.CostTime != 1 || rec.CreditsConsumed != 4 || a.credits() != before-4 {
		t.Errorf("cost %d s, %v credits, balance %v", *rec.CostTime, rec.CreditsConsumed, a.credits())
	}
	if *rec.ResultJSON != string(rec.Response) {
		t.Errorf("resultJson %s differs from response %s", *rec.ResultJSON, rec.Response)
	}
	param := decode[struct{ Model, Input string }](t, []byte(rec.Param))
	if param.Model != picture || decode[map[string]string](t, []byte(param.Input))["prompt"] != "кот & <dog>" {
		t.Errorf("param: %s", rec.Param)
	}
}

func TestTask_PassesThroughItsStates(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.Duration = func(string) time.Duration { return 2 * time.Second } })
	id := a.mustCreate(picture, prompt("states"), "")
	first := a.record(id)
	if first.State != kiesim.StateWaiting || *first.ResultJSON != "" || first.SuccessFlag != 0 || first.CostTime != nil {
		t.Errorf("a fresh task: %+v", first)
	}
	seen := []kiesim.State{first.State}
	for seen[len(seen)-1] != kiesim.StateSuccess {
		if state := a.record(id).State; state != seen[len(seen)-1] {
			seen = append(seen, state)
		}
	}
	// A busy machine may miss one in passing; none comes twice or out of order.
	order := []kiesim.State{kiesim.StateWaiting, kiesim.StateQueuing, kiesim.StateGenerating, kiesim.StateSuccess}
	for i := 1; i < len(seen); i++ {
		if slices.Index(order, seen[i]) <= slices.Index(order, seen[i-1]) {
			t.Errorf("states %v are out of order", seen)
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %v were seen", seen)
	}
}

func TestTask_RefusedByModeratorFailsAndIsRefunded(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t)
	before := a.credits()
	id := a.mustCreate(picture, prompt("an NSFW scene"), url)
	d := receive(t, deliveries)
	if d.code != 501 || d.msg != "Playground task failed." || d.record.ResultJSON != nil || !signed(d) {
		t.Errorf("callback: %+v", d)
	}
	rec := a.record(id)
	if rec.State != kiesim.StateFail || rec.SuccessFlag != 3 || *rec.FailCode != "400" || *rec.ResultJSON != "" {
		t.Errorf("record: %+v", rec)
	}
	if !strings.Contains(*rec.FailMsg, "flagged") || rec.CreditsConsumed != 0 || a.credits() != before {
		t.Errorf("failMsg %q, consumed %v, balance %v of %v", *rec.FailMsg, rec.CreditsConsumed, a.credits(), before)
	}
}

func TestCallback_IsRepeatedUntilAnsweredOrGivenUp(t *testing.T) {
	t.Parallel()
	a := start(t)
	url, deliveries := listen(t, 500, 302, 404)
	id := a.mustCreate(picture, prompt("a patient one"), url)
	for range 4 {
		if d := receive(t, deliveries); d.record.TaskID != id || !signed(d) {
			t.Errorf("delivery: %+v", d)
		}
	}
	dead, refused := listen(t, 500, 500, 500, 500, 500)
	a.mustCreate(picture, prompt("a lost one"), dead)
	for range 4 {
		receive(t, refused)
	}
	a.waitFor(func(kiesim.Call) bool {
		return !slices.ContainsFunc(a.sim.Tasks(), func(t kiesim.Task) bool { return !t.Notified })
	})
	if n := len(refused) + len(deliveries); n != 0 {
		t.Errorf("%d deliveries too many", n)
	}
}

func TestCallback_WithoutHMACKeyIsUnsigned(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.HMACKey = "" })
	url, deliveries := listen(t)
	a.mustCreate(picture, prompt("unsigned"), url)
	d := receive(t, deliveries)
	if d.header.Get("X-Webhook-Signature") != "" || d.header.Get("User-Agent") == "" {
		t.Errorf("headers: %v", d.header)
	}
}

func TestRequests_AreRefusedInTheEnvelope(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.Credits = 3 })
	post := func(body string) answer {
		req, err := http.NewRequest(http.MethodPost, a.url+"/api/v1/jobs/createTask", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+apiKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got answer
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 {
			t.Fatalf("status %d: %v", resp.StatusCode, err)
		}
		return got
	}
	huge := `{"model":"` + picture + `","input":{"prompt":"` + strings.Repeat("x", 3<<20) + `"}}`
	for _, c := range []struct {
		name string
		got  answer
		code int
		text string
	}{
		{"unknown task", a.call(http.MethodGet, "/api/v1/jobs/recordInfo?taskId=none", nil), 422, "recordInfo is null"},
		{"no task", a.call(http.MethodGet, "/api/v1/jobs/recordInfo", nil), 400, "taskId"},
		{"too few credits", a.create(picture, prompt("x"), ""), 402, "Credits insufficient"},
		{"dedicated family", a.call(http.MethodPost, "/api/v1/veo/generate", prompt("x")), 404, "does not exist"},
		{"not JSON", post("{"), 400, "parameters"},
		{"null", post("null"), 422, "not supported"},
		{"a list", post("[]"), 400, "parameters"},
		{"huge body", post(huge), 400, "too large"},
		{"bad callback", a.create(picture, prompt("x"), "ftp://x"), 422, "callBackUrl"},
	} {
		if c.got.Code != c.code || !strings.Contains(c.got.Msg, c.text) || string(c.got.Data) != "null" {
			t.Errorf("%s: code %d, msg %q, data %s", c.name, c.got.Code, c.got.Msg, c.got.Data)
		}
	}
}

func TestKey_IsRequiredEverywhereInTheAPI(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, path := range []string{"/api/v1/chat/credit", "/api/v1/jobs/recordInfo?taskId=x", "/api/v1/models"} {
		resp, body := get(t, a.url+path)
		if got := decode[answer](t, body); resp.StatusCode != 200 || got.Code != 401 {
			t.Errorf("%s: status %d, code %d", path, resp.StatusCode, got.Code)
		}
	}
}

func TestRateLimit_DropsTheTwentyFirst(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.NoRateLimit = false })
	for range 20 {
		a.mustCreate(picture, prompt("many"), "")
	}
	if got := a.create(picture, prompt("one more"), ""); got.Code != 429 {
		t.Errorf("code %d, want 429", got.Code)
	}
	if n := len(a.sim.Tasks()); n != 20 {
		t.Errorf("%d tasks, want 20: a dropped request is not queued", n)
	}
}

func TestPicture_HasTheRatioAndFormatAskedFor(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, c := range []struct {
		model  string
		input  map[string]any
		ratio  float64
		format string
		count  int
	}{
		{"nano-banana-2", map[string]any{"aspect_ratio": "16:9", "output_format": "png"}, 16.0 / 9, "png", 1},
		{"nano-banana-2", map[string]any{"aspect_ratio": "9:16", "output_format": "jpg"}, 9.0 / 16, "jpeg", 1},
		{"bytedance/seedream-v4-text-to-image", map[string]any{"image_size": "landscape_4_3", "max_images": 3.0}, 4.0 / 3, "png", 3},
		{"qwen/text-to-image", map[string]any{"image_size": "portrait_16_9"}, 9.0 / 16, "png", 1},
		{"grok-imagine/text-to-image", map[string]any{"aspect_ratio": "2:3"}, 2.0 / 3, "png", 6},
	} {
		c.input["prompt"] = "Рыжий кот читает газету у окна 🐈 and a very-long-word-" + strings.Repeat("x", 90)
		urls := a.urls(c.model, c.input)
		if len(urls) != c.count {
			t.Errorf("%s: %d results, want %d", c.model, len(urls), c.count)
		}
		if !strings.HasPrefix(urls[0], a.url+"/files/") {
			t.Errorf("%s: result at %s", c.model, urls[0])
		}
		resp, data := get(t, urls[0])
		img, format, err := image.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", c.model, err)
		}
		size := img.Bounds().Size()
		if got := float64(size.X) / float64(size.Y); math.Abs(got-c.ratio) > 0.01 || format != c.format {
			t.Errorf("%s: %s of ratio %v, want %s of %v", c.model, format, got, c.format, c.ratio)
		}
		if resp.Header.Get("Content-Type") != "image/"+c.format {
			t.Errorf("%s: content type %s", c.model, resp.Header.Get("Content-Type"))
		}
	}
}

func TestPicture_DependsOnThePromptAlone(t *testing.T) {
	t.Parallel()
	a := start(t)
	draw := func(text string) []byte {
		_, data := get(t, a.urls(picture, prompt(text))[0])
		return data
	}
	if first := draw("a lighthouse"); !bytes.Equal(first, draw("a lighthouse")) || bytes.Equal(first, draw("a windmill")) {
		t.Error("the same prompt must give the same picture, another prompt another")
	}
}

func TestPicture_OfALongPromptIsDrawnInTime(t *testing.T) {
	t.Parallel()
	a := start(t)
	text := strings.Repeat("слово ", 700) + strings.Repeat("x", 700)
	begin := time.Now()
	resp, _ := get(t, a.urls(picture, map[string]any{"prompt": text, "image_size": "9:16"})[0])
	if took := time.Since(begin); resp.StatusCode != 200 || took > 20*time.Second {
		t.Errorf("status %d after %v", resp.StatusCode, took)
	}
}

func FuzzCreateTask(f *testing.F) {
	sim, err := kiesim.New(kiesim.Config{APIKey: apiKey, NoRateLimit: true, Duration: quick})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = sim.Close() })
	f.Add([]byte(`{"model":"nano-banana-2","input":{"prompt":"x","aspect_ratio":"16:9"}}`))
	f.Add([]byte(`{"model":"kling-3.0/video","callBackUrl":"http://[::1","input":{"multi_prompt":[{"duration":1e400}]}}`))
	f.Add([]byte(`{"model":"z-image","input":[[[[`))
	f.Add([]byte(`{"model":null,"input":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/jobs/createTask", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+apiKey)
		w := httptest.NewRecorder()
		sim.ServeHTTP(w, req)
		if got := decode[answer](t, w.Body.Bytes()); w.Code != 200 || got.Code < 200 || got.Msg == "" {
			t.Errorf("status %d, %s", w.Code, w.Body)
		}
	})
}

func TestFile_ExistsOnlyForResults(t *testing.T) {
	t.Parallel()
	a := start(t)
	url := a.urls(picture, prompt("x"))[0]
	refusedID := a.mustCreate(picture, prompt("nsfw"), "")
	a.ended(refusedID)
	for _, address := range []string{
		strings.Replace(url, "0.png", "1.png", 1), strings.Replace(url, "0.png", "0.mp4", 1),
		a.url + "/files/results/none/0.png", a.url + "/files/results/" + refusedID + "/0.png",
	} {
		if resp, _ := get(t, address); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", address, resp.StatusCode)
		}
	}
}
