package app_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// canary stands in every field that people or the provider fill in. It must not
// be in any log, at any level, with the last line of defence taken away.
const canary = "C4n4ryOf"

// Everything that people and the provider say, in good times and in bad.
func TestLog_HoldsNothingThatPeopleWroteOrSent(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Settle = time.Millisecond
	a := w.Start(generation.Limits{FirstPoll: 50 * time.Millisecond, HeldFor: 4 * time.Second, UnknownFor: time.Second},
		map[string]string{"TELEGRAM_WEBHOOK_SECRET": webhookSecret, "WELCOME_CREDIT": "10000"})
	pool := pgtest.Pool(t, w.Database)
	p := w.Person(canary+"Name", "en")

	// A picture, and orders that fail in all ways, each with the provider's words.
	p.Order("Pictures", "Z-Image", canary+"Prompt <b>\"quoted\"</b>")
	p.Wait("the picture", hasPhoto)
	for _, f := range []kiesim.Fault{
		{Method: "generate", Action: "fail", Code: 501, Message: canary + "Failed", Count: 1},
		{Method: "generate", Action: "fail", Code: 400, Message: canary + "Flagged, it violates a policy", Count: 1},
		{Method: "createTask", Action: "fail", Code: 422, Message: canary + "Refused", Count: 1},
		{Method: "createTask", Action: "fail", Code: 500, Message: canary + "Broken", Count: 1},
		{Method: "recordInfo", Action: "fail", Code: 500, Message: canary + "Unread", Count: 1},
	} {
		w.Kie.ClearFaults()
		kieFault(t, w, f)
		before := one[int](t, pool, `SELECT count(*) FROM generations WHERE finished_at IS NOT NULL`)
		w.Person(canary+"Other", "en").Order("Pictures", "Z-Image", canary+"Prompt")
		waitZero(t, pool, "the order has not ended", fmt.Sprintf(`SELECT %d - count(*) FROM generations WHERE finished_at IS NOT NULL`, before+1))
	}
	w.Kie.ClearFaults()

	// Files with names and captions, whose way to the provider is troubled.
	kieFault(t, w, kiesim.Fault{Method: "upload", Action: "fail", Code: 500, Message: canary + "Upload", Count: 1})
	p.Press("Menu")
	p.Press("Pictures")
	p.Press("Nano Banana Edit")
	p.WaitText("Send the pictures")
	if _, err := w.Telegram.SendFile(p.ID, canary+"Caption", telegramsim.Attachment{Kind: "photo", Name: canary + "File.png", Data: picture(t)}); err != nil {
		t.Fatal(err)
	}
	p.WaitText(canary+"Caption", "Pictures: 1")
	p.Press("Generate · ")
	w.WaitLog(func(log string) bool { return hasLine(log, `msg="order not prepared"`) })

	// Deliveries that Telegram does not take, for reasons that quote the text.
	for _, f := range []telegramsim.Fault{
		{Method: "sendMessage", Action: "fail", Code: 400, Description: `Bad Request: can't parse entities: unsupported start tag "` + canary + `Tag"`, Count: 1},
		{Method: "sendMessage", Action: "html", Count: 1}, {Method: "sendMessage", Action: "drop_before", Count: 1},
	} {
		telegramFault(t, w, f)
		p.Say(canary + "Text")
	}
	w.WaitLog(func(log string) bool { return strings.Count(log, `msg="message not sent"`) >= 3 })

	// Presses and updates by hand: forged data, names, what is no update at all.
	raw := func(id int, tail string) []byte {
		return fmt.Appendf(nil, `{"update_id":%d,"message":{"message_id":1,"date":1,"from":{"id":%d,"is_bot":false,"first_name":"%[3]sFirst","last_name":"%[3]sLast","username":"%[3]sUser","language_code":"%[3]sLang"},"chat":{"id":%[2]d,"type":"private","first_name":"%[3]sChat"},%[4]s}}`, id, id+900_000, canary, tail)
	}
	press := func(id int, data string) []byte {
		return fmt.Appendf(nil, `{"update_id":%d,"callback_query":{"id":"%[2]sPress","data":"%[3]s","from":{"id":%[4]d,"first_name":"%[2]sFirst"},"message":{"message_id":1,"date":1,"text":"%[2]sShown","chat":{"id":%[4]d,"type":"private"}}}}`, id, canary, data, p.ID)
	}
	bodies := [][]byte{
		press(20, canary+"Data"), press(21, "1:again:"+canary), press(22, "1:model:"+canary), press(23, "1:send:"+canary), press(24, "1:set:"+canary+":1"),
		raw(1, `"text":"/`+canary+`Command"`), raw(2, `"text":"`+canary+`\u0000NUL"`), raw(3, `"text":"/start `+canary+`Payload"`),
		raw(4, `"document":{"file_id":"`+canary+`Id","file_name":"`+canary+`Doc.pdf","mime_type":"`+canary+`/x"},"caption":"`+canary+`Caption"`),
		raw(5, `"contact":{"phone_number":"`+canary+`Phone"}`), raw(6, `"location":{"title":"`+canary+`Place"}`),
		[]byte(`{"update_id":"` + canary + `"}`), []byte(canary + "Garbage"), []byte(`{"update_id":9,"message":{"text":{"` + canary + `":1}}}`),
	}
	for _, body := range bodies {
		if code := post(t, a.URL(), http.MethodPost, webhookSecret, body); code != http.StatusOK {
			t.Errorf("%d for %s", code, body)
		}
	}
	post(t, a.URL(), http.MethodPost, canary+"Secret", raw(10, `"text":"x"`))

	// An update that fails with an error of the database, until it is set aside.
	if _, err := pool.Exec(t.Context(), `ALTER TABLE bot_users ADD CONSTRAINT short CHECK (first_name NOT LIKE '%`+canary+`%') NOT VALID`); err != nil {
		t.Fatal(err)
	}
	p.Say(canary + "Poison")
	log := w.WaitLog(func(log string) bool { return hasLine(log, `msg="message failed"`, "attempt=5") })

	if n := one[int](t, pool, `SELECT count(*) FROM generation_events WHERE detail LIKE '%`+canary+`%'`); n < 4 {
		t.Errorf("only %d lines of history quote the provider: was it asked?", n)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, canary) || strings.Contains(line, "/file/bot") || strings.Contains(line, "/callback/kie/") || strings.Contains(line, apptest.Token) {
			t.Errorf("the log has %s", line)
		}
	}
	t.Logf("%d lines of log", strings.Count(log, "\n"))
}
