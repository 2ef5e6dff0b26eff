package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary is one figure over several rounds.
type Summary struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Summarise returns the summary of one or more values.
func Summarise(values []float64) Summary {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Summary{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

// Format renders median and, in brackets, minimum and maximum. A figure that is
// unknown or does not apply is a dash.
func (s Summary) Format(decimals int) string {
	if s == (Summary{}) {
		return "-"
	}
	return fmt.Sprintf("%.*f (%.*f-%.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// Percentile returns the smallest of the times that at least the fraction p of
// them do not exceed. It sorts the slice.
func Percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	i := int(math.Ceil(p*float64(len(times)))) - 1
	return times[min(max(i, 0), len(times)-1)]
}

// Milliseconds returns d as a number.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Micros returns d/n in microseconds.
func Micros(d time.Duration, n int) float64 {
	return float64(d) / float64(n) / float64(time.Microsecond)
}

// Ratios divides round by round, so that a change of the machine's load between
// two rounds counts little. What is unknown, and so 0, has the ratio 0.
func Ratios(values, base []float64) []float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		if base[i] != 0 {
			ratios[i] = values[i] / base[i]
		}
	}
	return ratios
}

// Table prints aligned columns. The first row is the head.
func Table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// WriteJSON stores a result for programs, if a file is named.
func WriteJSON(file string, v any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) //nolint:gosec // a result is no secret
}
