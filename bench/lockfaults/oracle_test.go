package main

import (
	"testing"
	"time"
)

// An oracle that cannot find anything would let every run pass, so each of its
// eyes is shown what it must see, and a clean record beside it.

const second = int64(time.Second)

func record(events ...event) *arena {
	m := &member{name: "w1", died: 100 * second}
	for i := range events {
		if events[i].member == nil {
			events[i].member = m
		}
		events[i].seen = events[i].At
	}
	return &arena{events: events}
}

func TestJudgeJobs_OneJobByTwoTermsAtOnceIsAnOverlap(t *testing.T) {
	t.Parallel()
	steps := func(secondBegins int64) []event {
		return []event{
			{Kind: evBegin, ID: "job", Epoch: 1, From: 1 * second, At: 1 * second},
			{Kind: evEnd, ID: "job", Epoch: 1, From: 1 * second, At: 3 * second},
			{Kind: evBegin, ID: "job", Epoch: 2, From: secondBegins, At: secondBegins},
			{Kind: evEnd, ID: "job", Epoch: 2, From: secondBegins, At: 9 * second},
		}
	}
	for begins, want := range map[int64]int{2 * second: 1, 4 * second: 0} {
		var v verdict
		record(steps(begins)...).judgeJobs(&v)
		if v.Overlaps != want || v.Residual != 0 {
			t.Errorf("second term begins at %s: %d overlaps, %d residual, want %d and 0", time.Duration(begins), v.Overlaps, v.Residual, want)
		}
	}
}

func TestJudgeJobs_AFreezeBetweenCheckAndEndIsTheResidual(t *testing.T) {
	t.Parallel()
	frozen := &member{name: "frozen", freezes: []span{{2 * second, 8 * second}}}
	var v verdict
	record(
		event{Kind: evBegin, ID: "job", Epoch: 1, From: 1 * second, At: 1 * second, member: frozen},
		event{Kind: evBegin, ID: "job", Epoch: 2, From: 6 * second, At: 6 * second},
		event{Kind: evEnd, ID: "job", Epoch: 1, From: 1 * second, At: 9 * second, member: frozen},
	).judgeJobs(&v)
	if v.Residual != 1 || v.Overlaps != 0 {
		t.Errorf("%d residual, %d overlaps, want 1 and 0", v.Residual, v.Overlaps)
	}
}

func TestJudgeLate_ACheckAfterTheBarrierIsLate(t *testing.T) {
	t.Parallel()
	for check, want := range map[int64]int{6 * second: 0, 8 * second: 1} {
		var v verdict
		record(
			event{Kind: evTerm, Epoch: 2, At: 5 * second, Text: "2s"},
			event{Kind: evBegin, ID: "job", Epoch: 1, From: check, At: check},
		).judgeLate(&v)
		if v.Late != want {
			t.Errorf("checked at %s: %d late, want %d", time.Duration(check), v.Late, want)
		}
	}
}

func TestJudgeAnswers_WhatWasAnsweredMustBeTrue(t *testing.T) {
	t.Parallel()
	var v verdict
	record(
		event{Kind: evWrite, ID: "lost", Epoch: 1, Text: outcomeOK},
		event{Kind: evWrite, ID: "there", Epoch: 1, Text: outcomeFenced},
		event{Kind: evWrite, ID: "fine", Epoch: 1, Text: outcomeOK},
		event{Kind: evWrite, ID: "unknown", Epoch: 1, Text: outcomeUnknown},
	).judgeAnswers(&v, map[string]committed{"there": {1, 1}, "fine": {2, 1}})
	if v.Lost != 2 {
		t.Errorf("%d wrong answers, want 2", v.Lost)
	}
}

func TestJudgeHistory_OrdersThatCannotBe(t *testing.T) {
	t.Parallel()
	grants := []history{{epoch: 1, kind: "acquired"}, {epoch: 2, kind: "acquired"}}
	terms := []event{
		{Kind: evTerm, Epoch: 1, From: 0, At: 1 * second, Text: "0s"},
		{Kind: evTerm, Epoch: 2, From: 4 * second, At: 5 * second, Text: "0s"},
	}
	for _, c := range []struct {
		name  string
		write event
		done  map[string]committed
		want  int
	}{
		{"in its term", event{Kind: evWrite, ID: "x", Epoch: 1, From: 2 * second, At: 3 * second, Text: outcomeOK}, map[string]committed{"x": {1, 1}}, 0},
		{"after the next term", event{Kind: evWrite, ID: "x", Epoch: 1, From: 6 * second, At: 7 * second, Text: outcomeOK}, map[string]committed{"x": {1, 1}}, 1},
		{"refused too early", event{Kind: evWrite, ID: "x", Epoch: 1, From: 2 * second, At: 3 * second, Text: outcomeFenced}, nil, 1},
		{"refused in time", event{Kind: evWrite, ID: "x", Epoch: 1, From: 6 * second, At: 7 * second, Text: outcomeFenced}, nil, 0},
		{"unknown and there, sent too late", event{Kind: evWrite, ID: "x", Epoch: 1, From: 6 * second, At: 7 * second, Text: outcomeUnknown}, map[string]committed{"x": {1, 1}}, 1},
		{"unknown and not there", event{Kind: evWrite, ID: "x", Epoch: 1, From: 6 * second, At: 7 * second, Text: outcomeUnknown}, nil, 0},
		{"a number that was left out", event{Kind: evWrite, ID: "x", Epoch: 1, From: 2 * second, At: 3 * second, Text: outcomeOK}, map[string]committed{"x": {2, 1}}, 1},
	} {
		var v verdict
		record(append(append([]event(nil), terms...), c.write)...).judgeHistory(&v, c.done, grants)
		if v.Illegal != c.want {
			t.Errorf("%s: %d illegal, want %d", c.name, v.Illegal, c.want)
		}
	}
}
