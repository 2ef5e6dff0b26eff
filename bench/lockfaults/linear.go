package main

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// The fenced register: a grant moves it to the next epoch, a fenced commit of
// the present epoch takes the next number, and one of another epoch is refused.
type register struct{ epoch, n int64 }

type registerInput struct {
	grant bool
	epoch int64
}

type registerOutput struct {
	n       int64 // the number that the commit took
	refused bool
}

func registerModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			r, in, out := state.(register), input.(registerInput), output.(registerOutput)
			switch {
			case in.grant:
				return in.epoch == r.epoch+1, register{in.epoch, r.n}
			case out.refused:
				return r.epoch > in.epoch, r
			}
			return in.epoch == r.epoch && out.n == r.n+1, register{r.epoch, out.n}
		},
	}
}

// judgeHistory asks whether all that was seen from outside fits one order. What
// was answered "unknown" is decided by the database: there, at some time after it
// was sent, or never.
func (a *arena) judgeHistory(v *verdict, done map[string]committed, past []history) {
	ops := append(a.grants(past), a.writes(done)...)
	switch porcupine.CheckOperationsTimeout(registerModel(), ops, time.Minute) {
	case porcupine.Illegal:
		v.blamef(&v.Illegal, "the history of %d operations is not linearizable", len(ops))
	case porcupine.Unknown:
		v.Undecided++
	case porcupine.Ok:
	}
}

// grants are the operations that raised the epoch. One whose holder never said
// so happened at any time.
func (a *arena) grants(past []history) []porcupine.Operation {
	said := map[int64]*event{}
	for i := range a.events {
		if e := &a.events[i]; e.Kind == evTerm {
			said[e.Epoch] = e
		}
	}
	var ops []porcupine.Operation
	for _, h := range past {
		if h.kind != "acquired" {
			continue
		}
		op := porcupine.Operation{Input: registerInput{grant: true, epoch: h.epoch}, Output: registerOutput{}, Return: math.MaxInt64}
		if e := said[h.epoch]; e != nil {
			op.Call, op.Return = e.From, e.At
		}
		ops = append(ops, op)
	}
	return ops
}

func (a *arena) writes(done map[string]committed) []porcupine.Operation {
	var ops []porcupine.Operation
	answered := map[string]bool{}
	for i := range a.events {
		e := &a.events[i]
		if e.Kind != evWrite {
			continue
		}
		answered[e.ID] = true
		c, there := done[e.ID]
		op := porcupine.Operation{Input: registerInput{epoch: e.Epoch}, Call: e.From, Return: e.At}
		switch {
		case there:
			op.Output = registerOutput{n: c.n}
			if e.Text == outcomeUnknown {
				op.Return = math.MaxInt64
			}
		case e.Text == outcomeFenced && !a.restarted:
			op.Output = registerOutput{refused: true}
		default:
			continue // it changed nothing
		}
		ops = append(ops, op)
	}
	for id, c := range done {
		if !answered[id] { // its worker died before it heard
			ops = append(ops, porcupine.Operation{Input: registerInput{epoch: c.epoch}, Output: registerOutput{n: c.n}, Return: math.MaxInt64})
		}
	}
	return ops
}
