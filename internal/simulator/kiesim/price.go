package kiesim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const defaultSeconds = 5

// cost is what one task costs in credits; 0 where no price is known.
func (m *model) cost(in input) float64 {
	if m.Price == nil || len(m.Price.Tiers) == 0 {
		return 0
	}
	if m.Price.Unit == "1M tokens" {
		return m.tokenCost(in)
	}
	return round(m.Price.choose(in).Credits * m.units(in))
}

// units says how often the price of a tier is due.
func (m *model) units(in input) float64 {
	switch m.Price.Unit {
	case "second":
		return in.seconds()
	case "image", "layer":
		return float64(m.pictures(in))
	case "1000 characters":
		return float64(utf8.RuneCountInString(in.prompt())) / 1000
	}
	return 1
}

// tokenCost follows the usual rule of thumb: four characters are a token, a second of speech is 32.
func (m *model) tokenCost(in input) float64 {
	chars := float64(utf8.RuneCountInString(in.prompt()))
	perMillion := map[string]float64{}
	for _, t := range m.Price.Tiers {
		perMillion[t.When] = t.Credits
	}
	spoken := chars / 15 * 32
	return math.Max(0.01, round((perMillion["input"]*chars/4+perMillion["output"]*spoken)/1e6))
}

// seconds is the length of a video or sound; a duration of -1 or 0 means that the model decides.
func (in input) seconds() float64 {
	if n, ok := in.number("duration", "n_frames", "duration_seconds", "extend_times"); ok && n > 0 {
		return n
	}
	return defaultSeconds
}

// choose returns the tier whose words describe the input best: first by how completely, then by how many words hold.
func (p *price) choose(in input) tier {
	said := in.words()
	best, bestScore := p.Tiers[0], -1.0
	for _, t := range p.Tiers {
		terms := tierTerms(t.When)
		held := 0
		for _, term := range terms {
			if slices.ContainsFunc(strings.Split(term, "/"), func(alt string) bool { return holds(alt, said) }) {
				held++
			}
		}
		score := float64(held) / float64(len(terms)+1)
		if held == len(terms) {
			score = 1 + float64(held)
		}
		if score > bestScore {
			best, bestScore = t, score
		}
	}
	return best
}

// tierTerms splits "720p no audio" into "720p" and "no audio".
func tierTerms(when string) []string {
	when = strings.ToLower(when)
	when = strings.NewReplacer("no audio", "no_audio", "video input", "video_input").Replace(when)
	return strings.Fields(when)
}

func holds(term string, said []string) bool {
	if _, target, ok := strings.Cut(term, "->"); ok {
		term = target
	}
	limit, ok := strings.CutPrefix(term, "<=")
	if !ok {
		return slices.Contains(said, term)
	}
	return slices.ContainsFunc(said, func(w string) bool {
		return lines(w) > 0 && lines(w) <= lines(limit)
	})
}

// lines orders resolutions of both spellings: 720p has 720 lines, 2k about 2000; 0 is not a resolution.
func lines(word string) float64 {
	scale := 1.0
	number, ok := strings.CutSuffix(word, "p")
	if !ok {
		if number, ok = strings.CutSuffix(word, "k"); !ok {
			return 0
		}
		scale = 1000
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	return n * scale
}

// words describes an input in the vocabulary of price tiers.
func (in input) words() []string {
	var said []string
	for name, v := range in {
		if s, ok := v.(string); ok && name != "prompt" && name != "text" {
			said = append(said, strings.ToLower(s))
		}
	}
	said = append(said, strconv.FormatFloat(in.seconds(), 'g', -1, 64)+"s")
	if factor, ok := in.number("upscale_factor"); ok {
		said = append(said, fmt.Sprintf("%gx", factor))
	}
	said = append(said, pick(in.has("sound", "audio", "generate_audio", "generate_audio_switch"), "audio", "no_audio"))
	if in.has("video_url", "video_urls", "video_list", "reference_video_urls", "reference_video", "first_clip_url") {
		said = append(said, "video_input")
	}
	// These models name the size of a picture by its quality.
	switch in.text("quality") {
	case "basic":
		said = append(said, "1k")
	case "high":
		said = append(said, "2k")
	}
	return append(said, pick(in.has("enable_pro"), "quality", "standard"))
}

func pick(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

// round keeps balances free of the noise of binary fractions.
func round(credits float64) float64 { return math.Round(credits*100) / 100 }

// words splits text into lower-case words.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
