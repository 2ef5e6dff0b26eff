package telegramsim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"kiosk/internal/simulator/telegramsim"
)

// summary writes entities as kind@offset+length, with what else they carry.
func summary(entities []telegramsim.MessageEntity) string {
	var out []string
	for _, e := range entities {
		s := fmt.Sprintf("%s@%d+%d", e.Type, e.Offset, e.Length)
		for _, extra := range []string{e.URL, e.Language, e.CustomEmojiID} {
			if extra != "" {
				s += "=" + extra
			}
		}
		if e.User != nil {
			s += fmt.Sprintf("=%d", e.User.ID)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestHTML_BecomesTextAndEntities(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	for _, c := range []struct{ html, text, entities string }{
		{"plain", "plain", ""},
		{"<b>bold</b> <strong>x</strong>", "bold x", "bold@0+4 bold@5+1"},
		{"<i>a</i><em>b</em><u>c</u><ins>d</ins>", "abcd", "italic@0+1 italic@1+1 underline@2+1 underline@3+1"},
		{"<s>a</s><strike>b</strike><del>c</del>", "abc", "strikethrough@0+1 strikethrough@1+1 strikethrough@2+1"},
		{"<tg-spoiler>a</tg-spoiler><span class=\"tg-spoiler\">b</span>", "ab", "spoiler@0+1 spoiler@1+1"},
		{"🙂 <b>ж🙂</b>", "🙂 ж🙂", "bold@3+3"},
		{"<b>a<i>b</i></b>", "ab", "bold@0+2 italic@1+1"},
		{"<code>a &lt; b</code>", "a < b", "code@0+5"},
		{"<pre>x</pre>", "x", "pre@0+1"},
		{"<pre><code class=\"language-go\">x</code></pre>", "x", "pre@0+1=go"},
		{"<code class=\"language-go\">x</code>", "x", "code@0+1"},
		{"<a href=\"https://example.org/a?b=1&amp;c=2\">l</a>", "l", "text_link@0+1=https://example.org/a?b=1&c=2"},
		{"<a href='example.org'>l</a>", "l", "text_link@0+1=http://example.org/"},
		{"<a href=\"tg://user?id=42\">l</a>", "l", "text_mention@0+1=42"},
		{"<a href=\"nonsense\">l</a>", "l", ""},
		{"<blockquote>q</blockquote>", "q", "blockquote@0+1"},
		{"<blockquote expandable>q</blockquote>", "q", "expandable_blockquote@0+1"},
		{"<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>", "👍", "custom_emoji@0+2=5368324170671202286"},
		{"<B>case</B> <b>short</>", "case short", "bold@0+4 bold@5+5"},
		{"&#65;&#x42; &amp;amp; &nbsp; &quot;", "AB &amp; &nbsp; \"", ""},
		{"a <b></b> b", "a  b", ""},
		{"  <b> trimmed </b>  ", "trimmed", "bold@0+7"},
		{"/start and /help@kiosk_dev_bot", "/start and /help@kiosk_dev_bot", "bot_command@0+6 bot_command@11+19"},
		{"see https://example.org/x, @someone #tag", "see https://example.org/x, @someone #tag", "url@4+21 mention@27+8 hashtag@36+4"},
		{"<code>/start</code>", "/start", "code@0+6"},
	} {
		m := s.send(obj{"chat_id": u.ID, "text": c.html, "parse_mode": "HTML"})
		if m.Text != c.text || summary(m.Entities) != c.entities {
			t.Errorf("%s\n got %q %s\nwant %q %s", c.html, m.Text, summary(m.Entities), c.text, c.entities)
		}
	}
}

func TestHTML_MistakesAreRefusedInTelegramsWords(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	for html, want := range map[string]string{
		"<b>x":              `Can't find end tag corresponding to start tag "b"`,
		"x</b>":             `Unexpected end tag at byte offset 1`,
		"<b>x</i>":          `Unmatched end tag at byte offset 4, expected "</b>", found "</i>"`,
		"<p>x</p>":          `Unsupported start tag "p" at byte offset 0`,
		"яя <":              `Unclosed start tag at byte offset 5`,
		"<span>x</span>":    `Tag "span" must have class "tg-spoiler" at byte offset 0`,
		"<a href=x/y>l</a>": `Unexpected end of name token at byte offset 8`,
		"<a href=\"x>l</a>": `Unclosed start tag at byte offset 0`,
		"1 < 2 and 3 > 2":   `Unsupported start tag "" at byte offset 2`,
		"<b>x</b":           `Unclosed end tag at byte offset 4`,
	} {
		s.refused("sendMessage", obj{"chat_id": u.ID, "text": html, "parse_mode": "HTML"}, 400,
			"Bad Request: can't parse entities: "+want)
	}
}

func TestMarkdown_BecomesTextAndEntities(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	for _, c := range []struct{ markdown, text, entities string }{
		{"*b* _i_ __u__ ~s~ ||p||", "b i u s p", "bold@0+1 italic@2+1 underline@4+1 strikethrough@6+1 spoiler@8+1"},
		{"`c\\`` ```go\nx```", "c` x", "code@0+2 pre@3+1=go"},
		{"[l](https://example.org/\\)) 1\\.5\\!", "l 1.5!", "text_link@0+1=https://example.org/)"},
		{">q\n>r\nafter", "q\nr\nafter", "blockquote@0+4"},
		{">q||\nafter", "q\nafter", "expandable_blockquote@0+2"},
	} {
		m := s.send(obj{"chat_id": u.ID, "text": c.markdown, "parse_mode": "MarkdownV2"})
		if m.Text != c.text || summary(m.Entities) != c.entities {
			t.Errorf("%s\n got %q %s\nwant %q %s", c.markdown, m.Text, summary(m.Entities), c.text, c.entities)
		}
	}
	for markdown, want := range map[string]string{
		"1.5": "Character '.' is reserved and must be escaped with the preceding '\\'",
		"*b":  "Can't find end of Bold entity at byte offset 0",
	} {
		s.refused("sendMessage", obj{"chat_id": u.ID, "text": markdown, "parse_mode": "MarkdownV2"}, 400,
			"Bad Request: can't parse entities: "+want)
	}
}

func TestEntities_GivenOnesAreKept(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	m := s.send(obj{"chat_id": u.ID, "text": "  <b> stays", "entities": []obj{
		{"type": "bold", "offset": 2, "length": 3}, {"type": "italic", "offset": 50, "length": 3},
	}})
	if m.Text != "<b> stays" || summary(m.Entities) != "bold@0+3" {
		t.Errorf("got %q %s", m.Text, summary(m.Entities))
	}
}

// FuzzHTML: whatever a bot writes is parsed or refused, and entities always lie within the text.
func FuzzHTML(f *testing.F) {
	for _, seed := range []string{"<b>x</b>", "<a href=\"x\">", "&#x110000;", "</", "<", "<b ", "<a href=", "\xff<b>", "<code class=language-go>x</code>"} {
		f.Add(seed)
	}
	server, err := telegramsim.New(telegramsim.Config{Token: token})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { server.Close() })
	u := server.NewUser("A", "")
	if _, err := server.SendText(u.ID, "/start"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, html string) {
		for _, mode := range []string{"HTML", "MarkdownV2"} {
			a := serve(t, server, "sendMessage", obj{"chat_id": u.ID, "text": html, "parse_mode": mode})
			if a.ErrorCode >= 500 {
				t.Fatalf("%q: %d %s", html, a.ErrorCode, a.Description)
			}
			var m telegramsim.Message
			if a.OK && json.Unmarshal(a.Result, &m) != nil {
				t.Fatalf("%q: %s", html, a.Result)
			}
			length := len([]rune(m.Text)) * 2
			for _, e := range m.Entities {
				if e.Offset < 0 || e.Length <= 0 || e.Offset+e.Length > length {
					t.Fatalf("%q: entity %+v in %q", html, e, m.Text)
				}
			}
		}
	})
}
