package app_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"strings"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 48))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sendPictures(t *testing.T, w *apptest.World, p *apptest.Person, caption string, n int) {
	t.Helper()
	var files []telegramsim.Attachment
	for range n {
		files = append(files, telegramsim.Attachment{Kind: "photo", Name: "cat.png", Data: picture(t)})
	}
	if _, err := w.Telegram.SendFile(p.ID, caption, files...); err != nil {
		t.Fatal(err)
	}
}

// input returns what the provider was asked for.
func input(t *testing.T, w *apptest.World) map[string]any {
	t.Helper()
	for _, c := range w.Kie.Calls() {
		if c.Method == "createTask" {
			var body struct {
				Input map[string]any `json:"input"`
			}
			if err := json.Unmarshal(c.Body, &body); err != nil {
				t.Fatal(err)
			}
			return body.Input
		}
	}
	t.Fatal("nothing was created")
	return nil
}

// An album of three pictures and a caption: one card, three uploads, one order.
func TestModels_AnAlbumIsEdited(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Pictures")
	p.Press("Nano Banana Edit")
	p.WaitText("Send the pictures", "up to 10")
	sendPictures(t, w, p, "put hats on them", 3)
	p.WaitText("put hats on them", "Pictures: 3", "Price: 3.20 ₽")
	if n := strings.Count(p.Chat(), "put hats on them"); n != 2 { // the caption and one card
		t.Errorf("the album was answered with more than one card:\n%s", p.Chat())
	}
	p.Press("Generate · 3.20")
	p.Wait("the picture", hasPhoto)
	p.WaitText("Charged: 3.20 ₽")
	urls, ok := input(t, w)["image_urls"].([]any)
	if !ok || len(urls) != 3 || strings.Contains(urls[0].(string), apptest.Token) {
		t.Errorf("image_urls = %v, want three uploaded files", urls)
	}
}

// Pictures one by one, the description last; then other pictures.
func TestModels_PicturesOneByOneAndOthers(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Pictures")
	p.Press("Nano Banana Edit")
	p.WaitText("Send the pictures")
	p.Say("make it blue") // the description first: the pictures are still missing
	p.Wait("a question for pictures", func(m telegramsim.Message) bool {
		return strings.HasPrefix(m.Text, "Nano Banana Edit\n🖼 Send the pictures")
	})
	sendPictures(t, w, p, "", 1)
	p.WaitText("make it blue", "Pictures: 1")
	sendPictures(t, w, p, "", 1)
	p.WaitText("make it blue", "Pictures: 2")
	p.PressAnswered("↺ Pictures")
	sendPictures(t, w, p, "make it red", 1)
	p.WaitText("make it red", "Pictures: 1")
}

// Sound on or off and the length decide the price of a video from a picture.
func TestModels_APictureComesToLifeWithSound(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, map[string]string{"WELCOME_CREDIT": "500"})
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Video")
	p.Press("Kling 2.6")
	p.WaitText("Send a picture")
	sendPictures(t, w, p, "it blinks", 1)
	p.WaitText("it blinks", "Price: 44 ₽")
	p.PressAnswered("Sound: —")
	p.PressAnswered("✓")
	p.WaitText("Sound: ✓", "Price: 88 ₽")
	p.PressAnswered("Length: 5")
	p.PressAnswered("10 s")
	p.WaitText("Price: 176 ₽")
	p.Press("Generate · 176")
	p.Wait("the video", hasVideo)
	if in := input(t, w); in["sound"] != true || in["duration"] != "10" {
		t.Errorf("input %v", in)
	}
}

// A text is read aloud; each started thousand of characters counts.
func TestModels_SpeechByThousandCharacters(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ольга", "ru")
	p.Say("/start")
	p.Press("Речь")
	p.Press("ElevenLabs")
	p.WaitText("Текст: пришлите", "до 5000")
	p.Say("Доброе утро. " + strings.Repeat("Слово. ", 150))
	p.WaitText("Цена: 9,60 ₽") // 1,063 characters: two thousands begun
	p.Press("Создать · 9,60")
	p.Wait("the speech", func(m telegramsim.Message) bool { return m.Audio != nil })
}

// Music comes as two tracks in one album; the buttons stand on the progress message.
func TestModels_MusicIsAnAlbumOfTwo(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Order("Music", "Suno", "a calm song about rain")
	p.Wait("two tracks", func(m telegramsim.Message) bool { return m.Audio != nil && p.Files() == 2 })
	done := p.WaitText("Ready", "Charged: 9.60 ₽")
	if _, ok := apptest.Button(done, "Once more"); !ok {
		t.Error("no button to repeat")
	}
}

// What Telegram cannot fetch is uploaded as a group, too.
func TestModels_AnAlbumFallsBackToUpload(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	telegramFault(t, w, telegramsim.Fault{Method: "sendMediaGroup", Action: "fail", Code: 400, Description: "Bad Request: failed to get HTTP URL content", Count: 1})
	p.Order("Music", "Suno", "a calm song about rain")
	p.Wait("two tracks", func(m telegramsim.Message) bool { return m.Audio != nil && p.Files() == 2 })
}

// An upload that fails for a while delays the order; nothing was submitted twice.
func TestModels_AnUploadIsRepeated(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	kieFault(t, w, kiesim.Fault{Method: "upload", Action: "html", Count: 1})
	w.Start(quick, map[string]string{"WELCOME_CREDIT": "500"})
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Video")
	p.Press("Kling 2.6")
	p.WaitText("Send a picture")
	sendPictures(t, w, p, "it blinks", 1)
	p.Press("Generate · 44")
	p.Wait("the video", hasVideo)
	if n := len(w.Kie.Tasks()); n != 1 {
		t.Errorf("%d tasks", n)
	}
}

func TestModels_WhatNoModelTakesIsSaid(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.WaitText("What shall we make")
	sendPictures(t, w, p, "", 1)
	p.WaitText("Choose first what to make of it")
	p.Press("Music")
	p.Press("Suno")
	p.WaitText("What about")
	sendPictures(t, w, p, "", 1)
	p.WaitText("takes no such file")
}
