package rig_test

import (
	"slices"
	"testing"
	"time"

	"kiosk/bench/internal/rig"
)

func TestSummarise_MedianOfEvenAndOddCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   rig.Summary
	}{
		{[]float64{3}, rig.Summary{Min: 3, Median: 3, Max: 3}},
		{[]float64{9, 1, 2}, rig.Summary{Min: 1, Median: 2, Max: 9}},
		{[]float64{4, 1, 3, 2}, rig.Summary{Min: 1, Median: 2.5, Max: 4}},
	} {
		if got := rig.Summarise(c.values); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestPercentile_IsOneOfTheTimes(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := rig.Percentile(times, p); got != want {
			t.Errorf("p%v: got %d, want %d", 100*p, got, want)
		}
	}
	if got := rig.Percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func TestRatios_AreOfOneRoundAndUnknownIsZero(t *testing.T) {
	t.Parallel()
	got := rig.Ratios([]float64{4, 9, 1}, []float64{2, 3, 0})
	if !slices.Equal(got, []float64{2, 3, 0}) {
		t.Errorf("got %v", got)
	}
}
