package kiesim

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	unknownModel = "The model name you specified is not supported. Please verify your input and use one of the supported " +
		"models provided by KIE."
	flaggedText = "Your content was flagged as violating content policies. Please modify your prompt and try again."

	limitCreations = 20
	limitWindow    = 10 * time.Second
)

type createRequest struct {
	Model       string          `json:"model"`
	CallBackURL string          `json:"callBackUrl"`
	Input       json.RawMessage `json:"input"`
}

// createTask answers POST /api/v1/jobs/createTask.
func (s *Server) createTask(w *reply, r *http.Request) {
	if !s.admit(time.Now()) {
		w.envelope(http.StatusTooManyRequests, usualText(http.StatusTooManyRequests), nil)
		return
	}
	var req createRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		w.envelope(http.StatusBadRequest, usualText(http.StatusBadRequest), nil)
		return
	}
	m, sent, code, problem := s.checkRequest(req)
	if problem != "" {
		w.envelope(code, problem, nil)
		return
	}
	task, early := s.plan(m, req, sent)
	if !s.accept(task) {
		w.envelope(http.StatusPaymentRequired, usualText(http.StatusPaymentRequired), nil)
		return
	}
	s.log.Info("task accepted", "task_id", task.ID, "model", task.Model, "credits", task.Credits)
	s.launch(*task, early)
	w.ok(map[string]string{"taskId": task.ID, "recordId": task.ID})
}

// admit counts a creation against the limit of the account; a refused one is not counted.
func (s *Server) admit(now time.Time) bool {
	if s.cfg.NoRateLimit {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.created) > 0 && now.Sub(s.created[0]) >= limitWindow {
		s.created = s.created[1:]
	}
	if len(s.created) >= limitCreations {
		return false
	}
	s.created = append(s.created, now)
	return true
}

// checkRequest returns the model and the input of a request, or the code and text of its refusal.
func (s *Server) checkRequest(req createRequest) (m *model, sent map[string]any, code int, problem string) {
	m, ok := s.models.byID[req.Model]
	if !ok {
		return nil, nil, http.StatusUnprocessableEntity, unknownModel
	}
	if err := json.Unmarshal(req.Input, &sent); err != nil || sent == nil {
		return nil, nil, http.StatusUnprocessableEntity, "input is required"
	}
	if problem := m.check(sent); problem != "" {
		return nil, nil, http.StatusUnprocessableEntity, problem
	}
	if req.CallBackURL != "" && !isCallbackURL(req.CallBackURL) {
		return nil, nil, http.StatusUnprocessableEntity, "callBackUrl is not a valid URL"
	}
	if s.missesUpload(sent) {
		return nil, nil, codeNoFile, usualText(codeNoFile)
	}
	return m, sent, 0, ""
}

func isCallbackURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// plan decides everything about a task before it starts, so that a restart cannot change its outcome. It also reports
// whether the task's callback is to come early.
func (s *Server) plan(m *model, req createRequest, sent map[string]any) (task *Task, early bool) {
	in := m.complete(sent)
	now := time.Now()
	task = &Task{
		ID: newTaskID(), Model: m.ID, Input: sent, Param: param(req, sent), CallBackURL: req.CallBackURL,
		Created: now, Due: now.Add(s.cfg.Duration(m.Modality)), State: StateWaiting, Credits: m.cost(in),
		Notified: req.CallBackURL == "",
	}
	if refused(in.prompt()) {
		task.FailCode, task.FailMsg = "400", flaggedText
	}
	fault, _ := s.faults.take(methodGenerate, m.ID, actionsOf(methodGenerate))
	switch fault.Action {
	case actionFail:
		code, msg := fault.failure()
		task.FailCode, task.FailMsg = strconv.Itoa(code), msg
	case actionNSFW:
		task.FailCode, task.FailMsg = "400", flaggedText
	case actionSlow:
		task.Due = task.Due.Add(fault.delay())
	}
	if req.CallBackURL != "" {
		_, early = s.faults.take(methodCallback, m.ID, []string{actionEarly})
	}
	return task, early
}

// param is the request the way recordInfo echoes it: JSON whose input is JSON in a string again.
func param(req createRequest, sent map[string]any) string {
	p := map[string]string{"model": req.Model, "input": string(encode(sent))}
	if req.CallBackURL != "" {
		p["callBackUrl"] = req.CallBackURL
	}
	return string(encode(p))
}

// launch starts a task, or ends it and sends its callback before the caller can answer the creation.
func (s *Server) launch(t Task, early bool) {
	if early && s.call(s.ctx, s.finish(t.ID)) {
		s.settle(t.ID)
		return
	}
	s.start(func() { s.run(t) })
}

// record is a task as recordInfo and callbacks show it.
type record struct {
	TaskID          string  `json:"taskId"`
	Model           string  `json:"model"`
	State           State   `json:"state"`
	Param           string  `json:"param"`
	ResultJSON      *string `json:"resultJson"` // JSON in a string; "" until success; null in the callback of a failure
	Response        any     `json:"response"`   // the same, parsed
	SuccessFlag     int     `json:"successFlag"`
	FailCode        *string `json:"failCode"`
	FailMsg         *string `json:"failMsg"`
	CostTime        *int64  `json:"costTime"` // seconds
	CompleteTime    *int64  `json:"completeTime"`
	CreateTime      int64   `json:"createTime"` // unix milliseconds, like the other two
	UpdateTime      int64   `json:"updateTime"`
	CreditsConsumed float64 `json:"creditsConsumed"`
}

func (s *Server) record(t Task) record {
	rec := record{
		TaskID: t.ID, Model: t.Model, State: t.State, Param: t.Param, ResultJSON: new(string),
		CreateTime: t.Created.UnixMilli(), UpdateTime: min(time.Now().UnixMilli(), t.Due.UnixMilli()),
	}
	if !t.ended() {
		return rec
	}
	done := t.Ended.UnixMilli()
	spent := int64(math.Ceil(t.Ended.Sub(t.Created).Seconds()))
	rec.CompleteTime, rec.UpdateTime, rec.CostTime, rec.CreditsConsumed = &done, done, &spent, t.Credits
	if t.State == StateFail {
		rec.SuccessFlag, rec.FailCode, rec.FailMsg = 3, &t.FailCode, &t.FailMsg
		return rec
	}
	result, _ := s.result(t)
	text := string(encode(result))
	rec.SuccessFlag, rec.Response, rec.ResultJSON = 1, result, &text
	return rec
}

// recordInfo answers GET /api/v1/jobs/recordInfo.
func (s *Server) recordInfo(w *reply, r *http.Request) {
	id := r.URL.Query().Get("taskId")
	if id == "" {
		w.envelope(http.StatusBadRequest, "taskId is required", nil)
		return
	}
	task, ok := s.find(id)
	if !ok {
		w.envelope(http.StatusUnprocessableEntity, "recordInfo is null", nil)
		return
	}
	w.ok(s.record(task))
}

// credit answers GET /api/v1/chat/credit with a bare number.
func (s *Server) credit(w *reply, _ *http.Request) {
	s.mu.Lock()
	credits := s.credits
	s.mu.Unlock()
	w.ok(credits)
}
