package telegramsim

import (
	"regexp"
	"slices"
)

// detector finds one kind of entity that people and bots write without markup.
type detector struct {
	kind    string
	pattern *regexp.Regexp // the first group is the entity
}

// formatter turns what was written into a text and its entities.
type formatter struct{ detectors []detector }

// newFormatter lists the detectors by precedence. They are simpler than Telegram's own, which know all top-level
// domains.
func newFormatter() formatter {
	return formatter{detectors: []detector{
		{"url", regexp.MustCompile(`(?i)(?:^|[\s("'«])((?:https?://|tg://)[^\s<>"'»]*[^\s<>"'».,:;!?)])`)},
		{"url", regexp.MustCompile(`(?i)(?:^|[\s("'«])((?:[a-z0-9-]+\.)+(?:com|org|net|ru|io|ai|me|dev|app)(?:/[^\s<>"'»]*[^\s<>"'».,:;!?)])?)`)},
		{"email", regexp.MustCompile(`(?i)(?:^|[\s("'«<])([a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,})`)},
		{"bot_command", regexp.MustCompile(`(?:^|[\s("'«])(/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)`)},
		{"mention", regexp.MustCompile(`(?:^|[\s("'«])(@[A-Za-z][A-Za-z0-9_]{3,31})`)},
		{"hashtag", regexp.MustCompile(`(?:^|[\s("'«])(#[\p{L}\p{N}_]*\p{L}[\p{L}\p{N}_]*)`)},
	}}
}

// detect adds links, commands, mentions, hashtags and addresses outside code and outside other links.
func (f formatter) detect(text string, entities []MessageEntity) []MessageEntity {
	for _, d := range f.detectors {
		for _, at := range d.pattern.FindAllStringSubmatchIndex(text, -1) {
			found := MessageEntity{
				Type: d.kind, Offset: utf16Len(text[:at[2]]), Length: utf16Len(text[at[2]:at[3]]),
			}
			if !overlapsOpaque(found, entities) {
				entities = append(entities, found)
			}
		}
	}
	sortEntities(entities)
	return entities
}

// sortEntities puts the outer ones of nested entities first.
func sortEntities(entities []MessageEntity) {
	slices.SortStableFunc(entities, func(a, b MessageEntity) int {
		if a.Offset != b.Offset {
			return a.Offset - b.Offset
		}
		return b.Length - a.Length
	})
}

func overlapsOpaque(found MessageEntity, entities []MessageEntity) bool {
	opaque := []string{"code", "pre", "text_link", "text_mention", "url", "email", "bot_command", "mention", "hashtag"}
	return slices.ContainsFunc(entities, func(e MessageEntity) bool {
		return found.Offset < e.Offset+e.Length && e.Offset < found.Offset+found.Length && slices.Contains(opaque, e.Type)
	})
}
