package telegramsim

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// markdownReserved must be escaped everywhere in MarkdownV2.
const markdownReserved = "_*[]()~`>#+-=|{}.!"

// markdownParser reads MarkdownV2: bold, italic, underline, strikethrough, spoiler, code, pre, links and quotes.
type markdownParser struct {
	in       string
	pos      int
	out      strings.Builder
	utf16    int
	open     []openTag // name is the marker that closes it
	entities []MessageEntity
}

func markdownEntity(marker string) string {
	switch marker {
	case "*":
		return "bold"
	case "_":
		return "italic"
	case "__":
		return "underline"
	case "~":
		return "strikethrough"
	case "||":
		return "spoiler"
	case "[":
		return "text_link"
	}
	return "blockquote"
}

func parseMarkdown(in string) (string, []MessageEntity, error) {
	m := &markdownParser{in: in}
	for m.pos < len(in) {
		if err := m.step(); err != nil {
			return "", nil, fmt.Errorf("can't parse entities: %w", err)
		}
	}
	m.closeQuote()
	if n := len(m.open); n > 0 {
		open := m.open[n-1]
		return "", nil, fmt.Errorf("can't parse entities: Can't find end of %s entity at byte offset %d",
			titled(markdownEntity(open.name)), open.start)
	}
	sortEntities(m.entities)
	return m.out.String(), m.entities, nil
}

func titled(kind string) string {
	if kind == "text_link" {
		return "TextUrl"
	}
	return strings.ToUpper(kind[:1]) + kind[1:]
}

func (m *markdownParser) step() error {
	c := m.in[m.pos]
	rest := m.in[m.pos:]
	switch {
	case c == '\\' && len(rest) > 1 && rest[1] > 0 && rest[1] < 127:
		m.write(rune(rest[1]))
		m.pos += 2
		return nil
	case strings.HasPrefix(rest, "```"):
		return m.code("```", "pre")
	case c == '`':
		return m.code("`", "code")
	case c == '>' && m.atLineStart():
		m.pos++
		if !m.isOpen(">") {
			m.open = append(m.open, openTag{name: ">", offset: m.utf16, start: m.pos})
		}
		return nil
	case c == '\n':
		m.write('\n')
		m.pos++
		if !strings.HasPrefix(m.in[m.pos:], ">") {
			m.closeQuote()
		}
		return nil
	case c == ']' && m.topIs("["):
		return m.link()
	case strings.HasPrefix(rest, "||") && m.topIs(">") && (len(rest) == 2 || rest[2] == '\n'):
		m.pos += 2 // The mark of an expandable quote, which closeQuote looks back at.
		return nil
	}
	for _, marker := range []string{"__", "||", "*", "_", "~", "["} {
		if strings.HasPrefix(rest, marker) {
			return m.toggle(marker)
		}
	}
	if strings.IndexByte(markdownReserved, c) >= 0 {
		return fmt.Errorf("Character '%c' is reserved and must be escaped with the preceding '\\'", c)
	}
	r, width := utf8.DecodeRuneInString(rest)
	m.write(r)
	m.pos += width
	return nil
}

func (m *markdownParser) write(r rune) {
	m.out.WriteRune(r)
	m.utf16 += utf16Width(r)
}

func (m *markdownParser) atLineStart() bool { return m.pos == 0 || m.in[m.pos-1] == '\n' }

func (m *markdownParser) isOpen(marker string) bool {
	return slices.ContainsFunc(m.open, func(t openTag) bool { return t.name == marker })
}

func (m *markdownParser) topIs(marker string) bool {
	return len(m.open) > 0 && m.open[len(m.open)-1].name == marker
}

func (m *markdownParser) toggle(marker string) error {
	begin := m.pos
	m.pos += len(marker)
	if m.topIs(marker) {
		m.pop(func(*MessageEntity) bool { return true })
		return nil
	}
	if m.isOpen(marker) {
		return fmt.Errorf("Can't find end of the entity starting at byte offset %d", begin)
	}
	m.open = append(m.open, openTag{name: marker, offset: m.utf16, start: begin})
	return nil
}

func (m *markdownParser) pop(finish func(*MessageEntity) bool) {
	top := m.open[len(m.open)-1]
	m.open = m.open[:len(m.open)-1]
	e := MessageEntity{Type: markdownEntity(top.name), Offset: top.offset, Length: m.utf16 - top.offset}
	if e.Length > 0 && finish(&e) {
		m.entities = append(m.entities, e)
	}
}

func (m *markdownParser) closeQuote() {
	if !m.topIs(">") {
		return
	}
	expandable := strings.HasSuffix(strings.TrimRight(m.in[:m.pos], "\n"), "||")
	m.pop(func(e *MessageEntity) bool {
		if expandable {
			e.Type = "expandable_blockquote"
		}
		return true
	})
}

// link reads the address behind [text].
func (m *markdownParser) link() error {
	begin := m.pos
	m.pos++
	if !strings.HasPrefix(m.in[m.pos:], "(") {
		m.pop(func(*MessageEntity) bool { return false })
		return nil
	}
	m.pos++
	var address strings.Builder
	for m.pos < len(m.in) && m.in[m.pos] != ')' {
		if m.in[m.pos] == '\\' && m.pos+1 < len(m.in) {
			m.pos++
		}
		address.WriteByte(m.in[m.pos])
		m.pos++
	}
	if m.pos >= len(m.in) {
		return fmt.Errorf("Can't find end of a URL at byte offset %d", begin)
	}
	m.pos++
	m.pop(func(e *MessageEntity) bool { return linkEntity(e, address.String()) })
	return nil
}

func (m *markdownParser) code(fence, kind string) error {
	begin := m.pos
	m.pos += len(fence)
	e := MessageEntity{Type: kind, Offset: m.utf16}
	if kind == "pre" {
		e.Language = m.codeLanguage()
	}
	for !strings.HasPrefix(m.in[m.pos:], fence) {
		if m.pos >= len(m.in) {
			return fmt.Errorf("Can't find end of %s entity at byte offset %d", titled(kind), begin)
		}
		if m.in[m.pos] == '\\' && m.pos+1 < len(m.in) {
			m.pos++
		}
		r, width := utf8.DecodeRuneInString(m.in[m.pos:])
		m.write(r)
		m.pos += width
	}
	m.pos += len(fence)
	if e.Length = m.utf16 - e.Offset; e.Length > 0 {
		m.entities = append(m.entities, e)
	}
	return nil
}

// codeLanguage reads a language that stands alone behind the opening fence.
func (m *markdownParser) codeLanguage() string {
	line, _, found := strings.Cut(m.in[m.pos:], "\n")
	if !found || strings.ContainsAny(line, " `\\") {
		return ""
	}
	m.pos += len(line) + 1
	return line
}
