package acceptance_test

import (
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestPicture_FromStartToDelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	p := w.ada()
	p.say("/start")
	welcome := p.waitText("Hi, Ada", "100 ₽")
	p.press("Pictures")
	p.press("Z-Image")
	if model := p.waitText("Describe", "Price: 0.64 ₽"); model.ID != welcome.ID {
		t.Errorf("the model is shown in message %d, not in the menu %d", model.ID, welcome.ID)
	}
	p.say("a lighthouse at dawn")
	card := p.waitText("a lighthouse at dawn", "Price: 0.64 ₽")
	p.press("Generate · 0.64")
	if done := p.waitText("Ready. Charged: 0.64 ₽, balance: 99.36 ₽"); done.ID != card.ID {
		t.Errorf("the progress is shown in message %d, not in the card %d", done.ID, card.ID)
	}
	w.waitQuiet()
	p.checkAnswers()

	want := []string{"sendMessage", "editMessageText", "sendMessage", "editMessageText", "sendPhoto"}
	if got := p.methods(); !slices.Equal(got, want) {
		t.Errorf("the chat was changed by %v, want %v", got, want)
	}
	checkPhoto(t, w)
	checkCreate(t, w)
}

// checkPhoto asserts that the one photo was sent by the address of a picture,
// with words and buttons, and that Telegram's id of it was kept.
func checkPhoto(t *testing.T, w *world) {
	t.Helper()
	photos := w.calls.of("sendPhoto")
	if len(photos) != 1 {
		t.Fatalf("%d photos:\n%s", len(photos), transcript(photos))
	}
	photo := photos[0]
	if caption := plain(photo.Args.Caption); caption != "Z-Image · 0.64 ₽\na lighthouse at dawn" {
		t.Errorf("caption %q", caption)
	}
	for _, label := range []string{"Once more", "Menu"} {
		if _, ok := (shown{call: photo}).button(label); !ok {
			t.Errorf("no button %q in %s", label, photo.Body)
		}
	}
	if !isPicture(t, photo.Args.Photo) {
		t.Errorf("%q is no address of a picture", photo.Args.Photo)
	}
	sizes := photo.Result.Photo
	if kept := one[string](w, `SELECT file_id FROM generation_results`); kept != sizes[len(sizes)-1].FileID {
		t.Errorf("kept the file id %q of %+v", kept, sizes)
	}
}

// isPicture fetches as Telegram would; tg-mock does not.
func isPicture(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _, err = image.DecodeConfig(resp.Body)
	return err == nil
}

// checkCreate asserts that without a public address one task was created that
// asks for no callback.
func checkCreate(t *testing.T, w *world) {
	t.Helper()
	if n := len(w.inner.Kie.Tasks()); n != 1 {
		t.Errorf("%d tasks at the provider", n)
	}
	for _, c := range w.inner.Kie.Calls() {
		if c.Method == "createTask" && strings.Contains(string(c.Body), "callBackUrl") {
			t.Errorf("a callback is asked for: %s", c.Body)
		}
	}
}

// Every kind of result goes out by its own method, by the provider's address.
func TestResult_EveryKindIsSentByItsMethod(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ category, model, method string }{
		{"Video", "Seedance", "sendVideo"},
		{"Speech", "ElevenLabs", "sendAudio"},
	} {
		t.Run(c.model, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			p := w.ada()
			p.order(c.category, c.model, "waves on a shore")
			p.waitText("Ready. Charged")
			w.waitQuiet()
			p.checkAnswers()
			sent := w.calls.of(c.method)
			if len(sent) == 0 {
				t.Fatalf("%s was not called", c.method)
			}
			for _, s := range sent {
				if file := s.Args.Video + s.Args.Audio; !strings.HasPrefix(file, w.inner.SimURL) {
					t.Errorf("sent %q", file)
				}
			}
			if last := sent[len(sent)-1]; !strings.Contains(last.Args.Caption, "waves on a shore") {
				t.Errorf("the last caption is %q", last.Args.Caption)
			}
		})
	}
}

// Whatever is pressed is answered, and the same message shows the next screen.
func TestPress_IsAnsweredAndEditsItsMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	p := w.ada()
	p.say("/start")
	menu := p.waitText("What shall we make")
	for _, step := range []struct{ press, shows string }{
		{"Balance", "Balance: 100 ₽"}, {"Menu", "What shall we make"}, {"History", "Nothing here yet"}, {"Menu", "What shall we make"},
		{"Русский", "Что создадим"}, {"Видео", "Выберите модель"}, {"Назад", "Что создадим"}, {"English", "What shall we make"},
	} {
		p.press(step.press)
		if m := p.waitText(step.shows); m.ID != menu.ID {
			t.Errorf("%q shows its screen in message %d, not in %d", step.press, m.ID, menu.ID)
		}
	}
	w.waitQuiet()
	p.checkAnswers()
	if n := len(w.calls.of("sendMessage")); n != 1 {
		t.Errorf("%d messages were sent, want the menu only", n)
	}
}
