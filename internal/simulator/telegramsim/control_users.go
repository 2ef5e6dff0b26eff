package telegramsim

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// person is a user as the list of the web chat shows one.
type person struct {
	User
	Started bool     `json:"started"`
	Blocked bool     `json:"blocked"`
	Last    *Message `json:"last_message,omitempty"`
	ChatURL string   `json:"chat_url"`
}

// view is everything that the page of one chat needs besides the messages.
type view struct {
	User        User                 `json:"user"`
	Started     bool                 `json:"started"`
	Blocked     bool                 `json:"blocked"`
	Bot         User                 `json:"bot"`
	Description string               `json:"description"`
	Short       string               `json:"short_description"`
	Commands    []Command            `json:"commands"`
	ReadUpTo    int64                `json:"read_up_to"`
	Reactions   map[int64][]reaction `json:"reactions"`
	Presses     []Answer             `json:"presses"` // that still wait for an answer
}

func (s *Server) controlNewUser(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID           int64  `json:"id"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name"`
		Username     string `json:"username"`
		LanguageCode string `json:"language_code"`
		IsPremium    bool   `json:"is_premium"`
	}
	if err := readJSON(r, &in); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.EnsureUser(User{
		ID: in.ID, FirstName: strings.TrimSpace(in.FirstName), LastName: in.LastName, Username: in.Username,
		LanguageCode: in.LanguageCode, IsPremium: in.IsPremium,
	}))
}

func (s *Server) controlUsers(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.persons())
}

func (s *Server) persons() []person {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]person, 0, len(s.order))
	for _, id := range s.order {
		c := s.chats[id]
		p := person{User: c.user, Started: c.started, Blocked: c.blocked}
		p.ChatURL = s.baseURL + "/#" + strconv.FormatInt(id, 10)
		if n := len(c.messages); n > 0 {
			p.Last = withoutReply(c.messages[n-1])
		}
		out = append(out, p)
	}
	return out
}

func (s *Server) controlUser(w http.ResponseWriter, _ *http.Request, id int64) {
	v, err := s.viewOf(id)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func (s *Server) viewOf(id int64) (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.chatLocked(id)
	if err != nil {
		return view{}, err
	}
	language := c.user.LanguageCode
	v := view{
		User: c.user, Started: c.started, Blocked: c.blocked, Bot: *s.botUser(), ReadUpTo: c.readUpTo,
		Description: localized(s.profile.Descriptions, language), Short: localized(s.profile.Shorts, language),
		Commands: s.profile.commandsFor(c.user), Reactions: map[int64][]reaction{}, Presses: []Answer{},
	}
	v.Bot.FirstName = orDefault(localized(s.profile.Names, language), s.cfg.Name)
	maps.Copy(v.Reactions, c.reactions)
	for _, p := range c.presses {
		if p.AnsweredAt.IsZero() && s.now().Sub(p.PressedAt) < pressLife {
			v.Presses = append(v.Presses, p.Answer)
		}
	}
	return v, nil
}

func (s *Server) controlMessages(w http.ResponseWriter, r *http.Request, id int64) {
	after, err := afterOf(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	messages, err := s.messagesAfter(id, after)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, messages)
}

// controlSend answers with the message, or with all of them when it made an album.
func (s *Server) controlSend(w http.ResponseWriter, r *http.Request, id int64) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		r.Header.Set("Content-Type", "application/json") // the other form of this call, whatever a client such as curl calls it
	}
	p, err := readParams(w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	if len(p.files) == 0 {
		m, err := s.SendText(id, p.str("text"))
		if err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, m)
		return
	}
	messages, err := s.SendFile(id, p.str("caption"), attachmentsOf(p)...)
	switch {
	case err != nil:
		s.fail(w, err)
	case len(messages) == 1:
		writeJSON(w, http.StatusOK, messages[0])
	default:
		writeJSON(w, http.StatusOK, messages)
	}
}

// attachmentsOf lists the files of a form in the order in which they were chosen.
func attachmentsOf(p *params) []Attachment {
	names := make([]string, 0, len(p.files))
	for name := range p.files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return p.files[a].order - p.files[b].order })
	out := make([]Attachment, 0, len(names))
	for _, name := range names {
		kind, _, _ := strings.Cut(name, "#")
		out = append(out, Attachment{Kind: kind, Name: p.files[name].name, Data: p.files[name].data})
	}
	return out
}

func (s *Server) controlPress(w http.ResponseWriter, r *http.Request, id int64) {
	var in struct {
		MessageID int64  `json:"message_id"`
		Data      string `json:"data"`
	}
	if err := readJSON(r, &in); err != nil {
		s.fail(w, err)
		return
	}
	query, err := s.Press(id, in.MessageID, in.Data)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"callback_query_id": query})
}

func (s *Server) controlAnswers(w http.ResponseWriter, _ *http.Request, id int64) {
	if _, err := s.messagesAfter(id, 1<<62); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.Answers(id))
}

// controlPay answers with the message that carries successful_payment.
func (s *Server) controlPay(w http.ResponseWriter, r *http.Request, id int64) {
	var in struct {
		MessageID int64  `json:"message_id"`
		Link      string `json:"link"`
	}
	if err := readJSON(r, &in); err != nil {
		s.fail(w, err)
		return
	}
	pay := func() (Message, error) { return s.Pay(r.Context(), id, in.MessageID) }
	if in.Link != "" {
		pay = func() (Message, error) { return s.PayLink(r.Context(), id, in.Link) }
	}
	m, err := pay()
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, m)
}

func (s *Server) controlBlock(blocked bool) func(http.ResponseWriter, *http.Request, int64) {
	return func(w http.ResponseWriter, _ *http.Request, id int64) {
		if err := s.setBlocked(id, blocked); err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true, "blocked": blocked})
	}
}
