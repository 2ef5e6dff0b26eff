package telegramsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// htmlParser follows do_parse_html of Telegram's own library (tdlib, MessageEntity.cpp), errors included.
type htmlParser struct {
	in       string
	pos      int
	out      strings.Builder
	utf16    int // length of out in UTF-16 units
	open     []openTag
	entities []MessageEntity
}

type openTag struct {
	name     string
	argument string
	offset   int // UTF-16
	start    int // byte in out
}

// entityOfTag maps the tags that need no argument.
func entityOfTag(tag string) string {
	switch tag {
	case "b", "strong":
		return "bold"
	case "i", "em":
		return "italic"
	case "s", "strike", "del":
		return "strikethrough"
	case "u", "ins":
		return "underline"
	case "tg-spoiler", "span":
		return "spoiler"
	}
	return ""
}

func isKnownTag(tag string) bool {
	return entityOfTag(tag) != "" || slices.Contains([]string{"a", "tg-emoji", "pre", "code", "blockquote"}, tag)
}

func parseHTML(in string) (string, []MessageEntity, error) {
	h := &htmlParser{in: in}
	for h.pos < len(in) {
		if err := h.step(); err != nil {
			return "", nil, fmt.Errorf("can't parse entities: %w", err)
		}
	}
	if n := len(h.open); n > 0 {
		return "", nil, fmt.Errorf("can't parse entities: Can't find end tag corresponding to start tag %q",
			h.open[n-1].name)
	}
	for i := range h.entities {
		if h.entities[i].Type == "code" {
			h.entities[i].Language = "" // It only means something inside <pre>, where adoptLanguage took it.
		}
	}
	sortEntities(h.entities)
	return h.out.String(), h.entities, nil
}

func (h *htmlParser) step() error {
	switch h.in[h.pos] {
	case '<':
		if strings.HasPrefix(h.in[h.pos:], "</") {
			return h.endTag()
		}
		return h.startTag()
	case '&':
		if r, width := decodeHTMLEntity(h.in[h.pos:]); width > 0 {
			h.write(r)
			h.pos += width
			return nil
		}
	}
	r, width := utf8.DecodeRuneInString(h.in[h.pos:])
	h.write(r)
	h.pos += width
	return nil
}

func (h *htmlParser) write(r rune) {
	h.out.WriteRune(r)
	h.utf16 += utf16Width(r)
}

func (h *htmlParser) startTag() error {
	begin := h.pos
	h.pos++
	h.skipTo(func(c byte) bool { return isSpace(c) || c == '>' })
	if h.atEnd() {
		return fmt.Errorf("Unclosed start tag at byte offset %d", begin)
	}
	tag := strings.ToLower(h.in[begin+1 : h.pos])
	if !isKnownTag(tag) {
		return fmt.Errorf("Unsupported start tag %q at byte offset %d", tag, begin)
	}
	argument, err := h.attributes(tag, begin)
	if err != nil {
		return err
	}
	if tag == "span" && argument != "spoiler" {
		return fmt.Errorf(`Tag "span" must have class "tg-spoiler" at byte offset %d`, begin)
	}
	h.open = append(h.open, openTag{tag, argument, h.utf16, h.out.Len()})
	return nil
}

// attributes reads up to and with the closing ">" and returns the one argument that the tag can have.
func (h *htmlParser) attributes(tag string, begin int) (string, error) {
	argument := ""
	for {
		h.skipTo(func(c byte) bool { return !isSpace(c) })
		if h.atEnd() {
			return "", fmt.Errorf("Unclosed start tag %q at byte offset %d", tag, begin)
		}
		if h.in[h.pos] == '>' {
			h.pos++
			return argument, nil
		}
		name, value, err := h.attribute(tag, begin)
		if err != nil {
			return "", err
		}
		if a, ok := tagArgument(tag, name, value); ok {
			argument = a
		}
	}
}

func (h *htmlParser) attribute(tag string, begin int) (name, value string, err error) {
	start := h.pos
	h.skipTo(func(c byte) bool { return isSpace(c) || strings.IndexByte(`=>/"'`, c) >= 0 })
	name = h.in[start:h.pos]
	if name == "" {
		return "", "", fmt.Errorf("Empty attribute name in the tag %q at byte offset %d", tag, begin)
	}
	h.skipTo(func(c byte) bool { return !isSpace(c) })
	if h.atEnd() {
		return "", "", fmt.Errorf("Unclosed start tag %q at byte offset %d", tag, begin)
	}
	if h.in[h.pos] != '=' {
		return name, "", nil
	}
	h.pos++
	h.skipTo(func(c byte) bool { return !isSpace(c) })
	if h.atEnd() {
		return "", "", fmt.Errorf("Unclosed start tag %q at byte offset %d", tag, begin)
	}
	value, err = h.attributeValue()
	if err == nil && h.atEnd() {
		err = fmt.Errorf("Unclosed start tag at byte offset %d", begin)
	}
	return name, value, err
}

func (h *htmlParser) attributeValue() (string, error) {
	quote := h.in[h.pos]
	if quote != '"' && quote != '\'' {
		start := h.pos
		h.skipTo(func(c byte) bool { return !isAlphanumeric(c) && c != '.' && c != '-' })
		if !h.atEnd() && !isSpace(h.in[h.pos]) && h.in[h.pos] != '>' {
			return "", fmt.Errorf("Unexpected end of name token at byte offset %d", start)
		}
		return strings.ToLower(h.in[start:h.pos]), nil
	}
	h.pos++
	var value strings.Builder
	for !h.atEnd() && h.in[h.pos] != quote {
		if r, width := decodeHTMLEntity(h.in[h.pos:]); width > 0 {
			value.WriteRune(r)
			h.pos += width
			continue
		}
		value.WriteByte(h.in[h.pos])
		h.pos++
	}
	h.pos = min(h.pos+1, len(h.in))
	return value.String(), nil
}

func tagArgument(tag, name, value string) (string, bool) {
	switch {
	case tag == "a" && name == "href", tag == "tg-emoji" && name == "emoji-id":
		return value, true
	case tag == "code" && name == "class":
		return strings.CutPrefix(value, "language-")
	case tag == "span" && name == "class":
		return strings.CutPrefix(value, "tg-")
	case tag == "blockquote" && name == "expandable":
		return "expandable", true
	}
	return "", false
}

func (h *htmlParser) endTag() error {
	begin := h.pos
	if len(h.open) == 0 {
		return fmt.Errorf("Unexpected end tag at byte offset %d", begin)
	}
	h.skipTo(func(c byte) bool { return isSpace(c) || c == '>' })
	name := strings.ToLower(h.in[begin+2 : h.pos])
	h.skipTo(func(c byte) bool { return !isSpace(c) })
	if h.atEnd() || h.in[h.pos] != '>' {
		return fmt.Errorf("Unclosed end tag at byte offset %d", begin)
	}
	h.pos++
	top := h.open[len(h.open)-1]
	if name != "" && name != top.name {
		return fmt.Errorf(`Unmatched end tag at byte offset %d, expected "</%s>", found "</%s>"`, begin, top.name, name)
	}
	h.open = h.open[:len(h.open)-1]
	if h.utf16 > top.offset {
		h.close(top)
	}
	return nil
}

// close makes the entity of a tag that ends here and is not empty.
func (h *htmlParser) close(t openTag) {
	e := MessageEntity{Type: entityOfTag(t.name), Offset: t.offset, Length: h.utf16 - t.offset}
	switch t.name {
	case "a":
		if !linkEntity(&e, orDefault(t.argument, h.out.String()[t.start:])) {
			return
		}
	case "tg-emoji":
		e.Type, e.CustomEmojiID = "custom_emoji", t.argument
	case "code":
		e.Type, e.Language = "code", t.argument
	case "pre":
		e.Type = "pre"
		h.adoptLanguage(&e)
	case "blockquote":
		e.Type = "blockquote"
		if t.argument != "" {
			e.Type = "expandable_blockquote"
		}
	}
	h.entities = append(h.entities, e)
}

// adoptLanguage merges <pre><code class="language-x">…</code></pre> into one entity.
func (h *htmlParser) adoptLanguage(pre *MessageEntity) {
	n := len(h.entities)
	if n == 0 {
		return
	}
	last := h.entities[n-1]
	if last.Type == "code" && last.Offset == pre.Offset && last.Length == pre.Length {
		pre.Language = last.Language
		h.entities = h.entities[:n-1]
	}
}

// linkEntity decides what a link becomes: a mention by id, a link, or plain text when the address is none.
func linkEntity(e *MessageEntity, address string) bool {
	if rest, ok := strings.CutPrefix(address, "tg://user?id="); ok {
		id, err := strconv.ParseInt(rest, 10, 64)
		e.Type, e.User = "text_mention", &User{ID: id}
		return err == nil && id > 0
	}
	clean, ok := cleanURL(address)
	e.Type, e.URL = "text_link", clean
	return ok
}

func (h *htmlParser) atEnd() bool { return h.pos >= len(h.in) }

func (h *htmlParser) skipTo(stop func(byte) bool) {
	for h.pos < len(h.in) && !stop(h.in[h.pos]) {
		h.pos++
	}
}

// decodeHTMLEntity knows the four names and the numbers that Telegram does; anything else stays as it is written.
func decodeHTMLEntity(in string) (r rune, width int) {
	if !strings.HasPrefix(in, "&") {
		return 0, 0
	}
	if strings.HasPrefix(in, "&#") {
		return decodeNumericEntity(in)
	}
	for name, r := range map[string]rune{"&lt": '<', "&gt": '>', "&amp": '&', "&quot": '"'} {
		rest, ok := strings.CutPrefix(in, name)
		if !ok || rest != "" && isLetter(rest[0]) {
			continue
		}
		if strings.HasPrefix(rest, ";") {
			return r, len(name) + 1
		}
		return r, len(name)
	}
	return 0, 0
}

func decodeNumericEntity(in string) (r rune, width int) {
	base, start := 10, 2
	if strings.HasPrefix(in, "&#x") {
		base, start = 16, 3
	}
	end := start
	for end < len(in) && end < start+8 && isAlphanumeric(in[end]) {
		end++
	}
	n, err := strconv.ParseInt(in[start:end], base, 32)
	if err != nil || n <= 0 || n > utf8.MaxRune {
		return 0, 0
	}
	if end < len(in) && in[end] == ';' {
		end++
	}
	return rune(n), end
}

func isSpace(c byte) bool  { return strings.IndexByte(" \t\r\n\x00\v", c) >= 0 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlphanumeric(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9'
}
