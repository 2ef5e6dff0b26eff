package telegramsim

import (
	"errors"
	"fmt"
	"net/http"
)

// apiError is a refusal in the form of the Bot API.
type apiError struct {
	Code        int
	Description string
	RetryAfter  int // seconds; 0 = none
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Description) }

func badRequest(format string, args ...any) error {
	return &apiError{Code: http.StatusBadRequest, Description: "Bad Request: " + fmt.Sprintf(format, args...)}
}

// Refusals that more than one method gives. The texts are those of Telegram's own server.
var (
	errUnauthorized   = &apiError{Code: http.StatusUnauthorized, Description: "Unauthorized"}
	errMethodNotFound = &apiError{Code: http.StatusNotFound, Description: "Not Found: method not found"}
	errTooLarge       = &apiError{Code: http.StatusRequestEntityTooLarge, Description: "Request Entity Too Large"}
	errBlocked        = &apiError{Code: http.StatusForbidden, Description: "Forbidden: bot was blocked by the user"}
	errChatNotFound   = badRequest("chat not found")
	errQueryTooOld    = badRequest("query is too old and response timeout expired or query ID is invalid")
	errNotModified    = badRequest("message is not modified: specified new message content and reply markup are " +
		"exactly the same as a current content and reply markup of the message")
)

// asAPIError turns whatever a method returned into what the wire can carry.
func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	return &apiError{Code: http.StatusInternalServerError, Description: "Internal Server Error: " + err.Error()}
}
