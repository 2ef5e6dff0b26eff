package telegramsim

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText    = 4096 // UTF-16 units after parsing
	maxCaption = 1024
)

// formatted reads a text parameter with its parse_mode or its explicit entities, and finds links and commands in it.
func (f formatter) formatted(p *params, textName, entitiesName string) (string, []MessageEntity, error) {
	return f.format(p.str(textName), p.str("parse_mode"), func(target *[]MessageEntity) error {
		return p.decode(entitiesName, target)
	})
}

func (f formatter) format(raw, mode string, explicit func(*[]MessageEntity) error) (string, []MessageEntity, error) {
	if !utf8.ValidString(raw) {
		return "", nil, badRequest("strings must be encoded in UTF-8")
	}
	text, entities, err := parseMode(raw, mode, explicit)
	if err != nil {
		return "", nil, err
	}
	text, entities = trim(text, entities)
	if utf16Len(text) > maxText {
		return text, entities, nil // It is going to be refused, whatever is in it.
	}
	return text, f.detect(text, entities), nil
}

func parseMode(raw, mode string, explicit func(*[]MessageEntity) error) (string, []MessageEntity, error) {
	var parse func(string) (string, []MessageEntity, error)
	switch strings.ToLower(mode) {
	case "html":
		parse = parseHTML
	case "markdownv2":
		parse = parseMarkdown
	case "markdown":
		return "", nil, badRequest("unsupported parse_mode: the simulator does not speak legacy Markdown")
	case "", "none":
		var entities []MessageEntity
		if err := explicit(&entities); err != nil {
			return "", nil, err
		}
		return raw, clip(entities, utf16Len(raw)), nil
	default:
		return "", nil, badRequest("unsupported parse_mode")
	}
	text, entities, err := parse(raw)
	if err != nil {
		return "", nil, badRequest("%v", err)
	}
	return text, entities, nil
}

// clip drops explicit entities that do not lie within the text.
func clip(entities []MessageEntity, length int) []MessageEntity {
	return slices.DeleteFunc(entities, func(e MessageEntity) bool {
		return e.Type == "" || e.Offset < 0 || e.Length <= 0 || e.Offset > length-e.Length
	})
}

// trim removes surrounding white space, as Telegram does with every message, and shifts the entities accordingly.
func trim(text string, entities []MessageEntity) (string, []MessageEntity) {
	left := strings.TrimLeftFunc(text, unicode.IsSpace)
	shift := utf16Len(text) - utf16Len(left)
	trimmed := strings.TrimRightFunc(left, unicode.IsSpace)
	length := utf16Len(trimmed)
	var kept []MessageEntity
	for _, e := range entities {
		end := min(e.Offset+e.Length-shift, length)
		e.Offset = max(e.Offset-shift, 0)
		e.Length = end - e.Offset
		if e.Length > 0 {
			kept = append(kept, e)
		}
	}
	return trimmed, kept
}

func utf16Width(r rune) int {
	if r > 0xFFFF {
		return 2
	}
	return 1
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16Width(r)
	}
	return n
}

// cleanURL completes an address as Telegram does, and says whether it is one.
func cleanURL(address string) (string, bool) {
	address = strings.TrimSpace(address)
	if strings.HasPrefix(address, "tg://") || strings.HasPrefix(address, "mailto:") || strings.HasPrefix(address, "tel:") {
		return address, true
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.ContainsAny(address, " \t\n") {
		return "", false
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	host := u.Hostname()
	if !strings.Contains(host, ".") && !isLoopback(host) {
		return "", false
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), true
}
