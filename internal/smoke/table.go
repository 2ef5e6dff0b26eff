package smoke

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// Print writes the report as a table, with colours if asked for, and returns what
// writing returned.
func (r Report) Print(w io.Writer, colour bool) error {
	var plain bytes.Buffer
	t := tabwriter.NewWriter(&plain, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\tRESULT\tTIME\tWHAT")
	for _, c := range r.Checks {
		first, rest, _ := strings.Cut(c.Found+c.Cause, "\n")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Check, c.Status, spent(c), oneLine(first))
		for line := range strings.Lines(rest) {
			fmt.Fprintf(t, "\t\t\t%s\n", oneLine(line))
		}
		if c.Remedy != "" {
			fmt.Fprintf(t, "\t\t\t→ %s\n", oneLine(c.Remedy))
		}
	}
	_ = t.Flush() // into memory
	text := plain.String()
	if colour {
		text = paint(text) // after the alignment, which counts every byte
	}
	_, err := io.WriteString(w, text+"\n"+r.summary()+"\n")
	return err
}

func spent(c Result) string {
	if c.Status == Skipped {
		return "-"
	}
	return (time.Duration(c.Millis) * time.Millisecond).String()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (r Report) summary() string {
	n := map[Status]int{}
	for _, c := range r.Checks {
		n[c.Status]++
	}
	parts := []string{fmt.Sprintf("%d passed", n[Pass])}
	for _, part := range []struct {
		status    Status
		one, many string
	}{{Warn, "warning", "warnings"}, {Fail, "failed", "failed"}, {Skipped, "skipped", "skipped"}} {
		switch count := n[part.status]; count {
		case 0:
		case 1:
			parts = append(parts, "1 "+part.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", count, part.many))
		}
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", in %.1f s", float64(r.Millis)/1000)
}

// paint colours the second column and the remedies.
func paint(table string) string {
	colours := map[string]string{"pass": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[1;31m", "skipped": "\x1b[2m"}
	status := regexp.MustCompile(`(?m)^(\S.*?  +)(pass|warn|fail|skipped)( |$)`)
	table = status.ReplaceAllStringFunc(table, func(line string) string {
		m := status.FindStringSubmatch(line)
		return m[1] + colours[m[2]] + m[2] + "\x1b[0m" + m[3]
	})
	return regexp.MustCompile(`(?m)→ .*$`).ReplaceAllString(table, "\x1b[36m$0\x1b[0m")
}
