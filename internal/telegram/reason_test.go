package telegram_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"kiosk/internal/telegram"
)

// reasons are the questions that callers ask about a failed call.
func reasons() map[string]func(error) bool {
	return map[string]func(error) bool{
		"blocked": telegram.IsBlocked, "not modified": telegram.IsNotModified, "too old": telegram.IsTooOld,
		"edit gone": telegram.IsEditGone, "fetch failed": telegram.IsFetchFailed, "unusable": telegram.IsUnusableMedia,
		"chat gone": telegram.IsChatGone, "no text": telegram.IsNoText,
	}
}

func TestReasons_OfTelegramsOwnTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Forbidden: bot was blocked by the user":                 "blocked",
		"Forbidden: user is deactivated":                         "blocked",
		"Forbidden: bot can't initiate conversation with a user": "blocked",
		"Bad Request: message is not modified: specified new message content and reply markup are exactly the same as " +
			"a current content and reply markup of the message": "not modified",
		"Bad Request: query is too old and response timeout expired or query ID is invalid":                 "too old",
		"Bad Request: message to edit not found":                                                            "edit gone",
		"Bad Request: message can't be edited":                                                              "edit gone",
		"Bad Request: MESSAGE_ID_INVALID":                                                                   "edit gone",
		"Bad Request: failed to get HTTP URL content":                                                       "fetch failed",
		"Bad Request: wrong type of the web page content":                                                   "fetch failed",
		"Bad Request: wrong file identifier/HTTP URL specified":                                             "fetch failed",
		"Bad Request: wrong remote file identifier specified: Wrong padding in the string":                  "fetch failed",
		"Bad Request: WEBPAGE_CURL_FAILED":                                                                  "fetch failed",
		"Bad Request: WEBPAGE_MEDIA_EMPTY":                                                                  "fetch failed",
		"Bad Request: group send failed: file is too big":                                                   "fetch failed",
		"Bad Request: PHOTO_INVALID_DIMENSIONS":                                                             "unusable",
		"Bad Request: IMAGE_PROCESS_FAILED":                                                                 "unusable",
		"Bad Request: PHOTO_EXT_INVALID":                                                                    "unusable",
		"Bad Request: PHOTO_SAVE_FILE_INVALID":                                                              "unusable",
		"Bad Request: chat not found":                                                                       "chat gone",
		"Bad Request: there is no text in the message to edit":                                              "no text",
		"Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0":                   "",
		"Bad Request: BUTTON_DATA_INVALID":                                                                  "",
		"Unauthorized":                                                                                      "",
		"Conflict: terminated by other getUpdates request; make sure that only one bot instance is running": "",
		"Too Many Requests: retry after 5":                                                                  "",
		"Internal Server Error: message is not modified":                                                    "",
		"Bad Gateway: bot was blocked by the user":                                                          "",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			err := send(t.Context(), serve(t, reply(codeOf(t, text), nil, refusal(t, text))), nil)
			if err == nil {
				t.Fatal("no error")
			}
			asked(t, fmt.Errorf("wrapped: %w", err), want)
		})
	}
}

// asked checks that exactly the wanted reason is given for err, or none.
func asked(t *testing.T, err error, want string) {
	t.Helper()
	for name, is := range reasons() {
		if is(err) != (name == want) {
			t.Errorf("%s is %t for %v", name, is(err), err)
		}
	}
}

func TestReasons_NoneWithoutARefusal(t *testing.T) {
	t.Parallel()
	asked(t, nil, "")
	asked(t, errors.New("Bad Request: chat not found"), "")
	asked(t, &telegram.Error{Outcome: telegram.Unknown, Code: 403, Description: "Forbidden: bot was blocked by the user"}, "")
	asked(t, &telegram.Error{Outcome: telegram.Refused, Code: 429, Description: "Too Many Requests: chat not found"}, "")
}

// codeOf returns the code that Telegram sends with a text.
func codeOf(t *testing.T, text string) int {
	t.Helper()
	for _, code := range []int{400, 401, 403, 409, 429, 500, 502} {
		if strings.HasPrefix(text, http.StatusText(code)) {
			return code
		}
	}
	t.Fatalf("no code for %q", text)
	return 0
}

func refusal(t *testing.T, text string) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"ok": false, "error_code": codeOf(t, text), "description": text})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
