package telegramsim

import (
	"context"
	"slices"
	"strconv"
	"unicode/utf8"
)

// profile is what a bot says about itself, by language; "" is for everybody else.
type profile struct {
	Names        map[string]string    `json:"names"`
	Descriptions map[string]string    `json:"descriptions"`
	Shorts       map[string]string    `json:"short_descriptions"`
	Commands     map[string][]Command `json:"commands"` // by scope and language
	Menu         *menuButton          `json:"menu,omitempty"`
}

// menuButton is a Bot API MenuButton.
type menuButton struct {
	Type   string  `json:"type"`
	Text   string  `json:"text,omitempty"`
	WebApp *WebApp `json:"web_app,omitempty"`
}

// commandScope is a Bot API BotCommandScope.
type commandScope struct {
	Type   string `json:"type"`
	ChatID int64  `json:"chat_id,omitempty"`
}

func newProfile() profile {
	return profile{
		Names: map[string]string{}, Descriptions: map[string]string{}, Shorts: map[string]string{},
		Commands: map[string][]Command{},
	}
}

func (c commandScope) key(language string) string {
	return orDefault(c.Type, "default") + "/" + strconv.FormatInt(c.ChatID, 10) + "/" + language
}

// commandsFor follows the documented order: the chat before all private chats before the default, and in each the
// person's language before the rest.
func (p profile) commandsFor(u User) []Command {
	for _, scope := range []commandScope{{"chat", u.ID}, {Type: "all_private_chats"}, {Type: "default"}} {
		for _, language := range []string{u.LanguageCode, ""} {
			if commands := p.Commands[scope.key(language)]; len(commands) > 0 {
				return commands
			}
		}
	}
	return []Command{}
}

func localized(texts map[string]string, language string) string {
	return orDefault(texts[language], texts[""])
}

// parseScope reads scope and language_code. A scope of a chat must name one that the bot knows.
func (s *Server) parseScope(p *params) (string, error) {
	var scope commandScope
	if err := p.decode("scope", &scope); err != nil {
		return "", badRequest("can't parse BotCommandScope: %v", err)
	}
	known := []string{"", "default", "all_private_chats", "all_group_chats", "all_chat_administrators", "chat"}
	if !slices.Contains(known, scope.Type) {
		return "", badRequest("can't parse BotCommandScope: unsupported type specified")
	}
	if scope.Type == "chat" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.chats[scope.ChatID]; c == nil || !c.started {
			return "", errChatNotFound
		}
	}
	return scope.key(p.str("language_code")), nil
}

func (s *Server) setMyCommands(_ context.Context, p *params) (any, error) {
	key, err := s.parseScope(p)
	if err != nil {
		return nil, err
	}
	var commands []Command
	if err := p.decode("commands", &commands); err != nil {
		return nil, badRequest("can't parse commands list")
	}
	if len(commands) > 100 {
		return nil, badRequest("BOT_COMMANDS_TOO_MUCH")
	}
	for _, c := range commands {
		if err := checkCommand(c); err != nil {
			return nil, err
		}
	}
	return s.updateProfile(func(p *profile) { p.Commands[key] = commands })
}

func checkCommand(c Command) error {
	if len(c.Command) < 1 || len(c.Command) > 32 {
		return badRequest("BOT_COMMAND_INVALID")
	}
	for _, r := range c.Command {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') {
			return badRequest("BOT_COMMAND_INVALID")
		}
	}
	if n := utf8.RuneCountInString(c.Description); n < 1 || n > 256 {
		return badRequest("BOT_COMMAND_DESCRIPTION_INVALID")
	}
	return nil
}

func (s *Server) deleteMyCommands(_ context.Context, p *params) (any, error) {
	key, err := s.parseScope(p)
	if err != nil {
		return nil, err
	}
	return s.updateProfile(func(p *profile) { delete(p.Commands, key) })
}

func (s *Server) getMyCommands(_ context.Context, p *params) (any, error) {
	key, err := s.parseScope(p)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command{}, s.profile.Commands[key]...), nil
}

// updateProfile changes the profile and lets every open page know.
func (s *Server) updateProfile(change func(*profile)) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.profile)
	for _, c := range s.chats {
		c.publish(event{Kind: "profile"})
	}
	s.changedLocked()
	return true, nil
}

// localText is one of the texts that a bot can set by language: its parameter, its limit and where it is kept.
type localText struct {
	field string
	limit int
	in    func(*profile) map[string]string
}

func nameText() localText {
	return localText{"name", 64, func(p *profile) map[string]string { return p.Names }}
}

func descriptionText() localText {
	return localText{"description", 512, func(p *profile) map[string]string { return p.Descriptions }}
}

func shortText() localText {
	return localText{"short_description", 120, func(p *profile) map[string]string { return p.Shorts }}
}

func (s *Server) setLocal(t localText) func(context.Context, *params) (any, error) {
	return func(_ context.Context, p *params) (any, error) {
		if utf8.RuneCountInString(p.str(t.field)) > t.limit {
			return nil, badRequest("bot %s is too long", t.field)
		}
		return s.updateProfile(func(pr *profile) { t.in(pr)[p.str("language_code")] = p.str(t.field) })
	}
}

func (s *Server) getLocal(t localText) func(context.Context, *params) (any, error) {
	return func(_ context.Context, p *params) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		text := localized(t.in(&s.profile), p.str("language_code"))
		if t.field == "name" {
			text = orDefault(text, s.cfg.Name)
		}
		return map[string]string{t.field: text}, nil
	}
}

func (s *Server) setChatMenuButton(_ context.Context, p *params) (any, error) {
	button := menuButton{Type: "default"}
	if err := p.decode("menu_button", &button); err != nil {
		return nil, badRequest("can't parse menu button: %v", err)
	}
	if !slices.Contains([]string{"default", "commands", "web_app"}, button.Type) {
		return nil, badRequest("can't parse menu button: unsupported type specified")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.has("chat_id") {
		s.profile.Menu = &button
		s.changedLocked()
		return true, nil
	}
	c := s.chats[p.integer("chat_id", 0)]
	if c == nil {
		return nil, errChatNotFound
	}
	c.menu = &button
	s.changedLocked()
	return true, nil
}

func (s *Server) getChatMenuButton(_ context.Context, p *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	button := s.profile.Menu
	if c := s.chats[p.integer("chat_id", 0)]; c != nil && c.menu != nil {
		button = c.menu
	}
	if button == nil {
		return menuButton{Type: "commands"}, nil
	}
	return button, nil
}
