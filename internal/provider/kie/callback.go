package kie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// maxSkew is how old or early a signed callback may be.
const maxSkew = 5 * time.Minute

// CallbackTaskID returns the task id that a callback's body names, and "" when
// it names none. Families differ in where they put it. The body is not signed:
// treat the id as a hint and fetch the task.
func CallbackTaskID(body []byte) string {
	var c struct {
		TaskID string `json:"taskId"`
		Data   struct {
			TaskID      string `json:"taskId"`
			SnakeTaskID string `json:"task_id"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &c) != nil {
		return ""
	}
	for _, id := range []string{c.Data.TaskID, c.Data.SnakeTaskID, c.TaskID} {
		if id != "" {
			return id
		}
	}
	return ""
}

// VerifySignature checks the HMAC headers of a callback about a task: base64 of
// HMAC-SHA256 over taskId + "." + timestamp (KIE's webhook documentation), within five
// minutes of now, compared in constant time.
func VerifySignature(key string, h http.Header, taskID string, now time.Time) bool {
	stamp := h.Get("X-Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > maxSkew {
		return false
	}
	given, err := base64.StdEncoding.DecodeString(h.Get("X-Webhook-Signature"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(taskID + "." + stamp))
	return hmac.Equal(given, mac.Sum(nil))
}
