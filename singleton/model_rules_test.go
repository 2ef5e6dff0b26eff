package singleton_test

import (
	"os"
	"testing"
)

// bounded is the protocol with as many instances, terms and beats as are
// explored in a second.
func bounded(change func(*protocol)) protocol {
	p := protocol{instances: 2, terms: 3, beats: 2}
	if change != nil {
		change(&p)
	}
	return p
}

func TestModel_EveryInterleavingKeepsTheRules(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*protocol){
		"two instances":                   nil,
		"three instances":                 func(p *protocol) { p.instances, p.terms, p.beats = 3, 2, 1 },
		"failover":                        func(p *protocol) { p.failover, p.beats = true, 1 },
		"lock granted to several at once": func(p *protocol) { p.twice = true },
		"lock granted to several at once, and a failover": func(p *protocol) { p.twice, p.failover, p.beats = true, true, 1 },
		"lease mode":                            func(p *protocol) { p.lease = true },
		"failover, the term's id alone dropped": func(p *protocol) { p.failover, p.noTermID, p.beats = true, true, 1 },
		"lease mode, three instances":           func(p *protocol) { p.lease, p.instances, p.terms, p.beats = true, 3, 2, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bounded(change).explore().holds(t)
		})
	}
}

// Takes a few seconds, and more with the race detector, which has nothing to find here.
func TestModel_ThreeInstancesAndThreeTerms(t *testing.T) {
	t.Parallel()
	if !thorough() {
		t.Skip("run it with SINGLETON_SEEDS set")
	}
	for name, change := range map[string]func(*protocol){
		"session mode":                    nil,
		"lease mode":                      func(p *protocol) { p.lease = true },
		"failover":                        func(p *protocol) { p.failover = true },
		"lock granted to several at once": func(p *protocol) { p.twice = true },
	} {
		t.Run(name, func(t *testing.T) {
			p := bounded(change)
			p.instances, p.beats = 3, 1
			p.explore().holds(t)
		})
	}
}

// thorough says that somebody has time.
func thorough() bool { return os.Getenv("SINGLETON_SEEDS") != "" }

// What each part is for: without it, these are shortest ways into trouble.
func TestModel_EveryMutantBreaksARule(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		change func(*protocol)
		rule   string
	}{
		"no fence":                               {func(p *protocol) { p.noFence = true }, ruleCommit},
		"the check is a plain SELECT":            {func(p *protocol) { p.plainSelect = true }, ruleCommit},
		"the bump is a plain UPDATE":             {func(p *protocol) { p.plainUpdate = true }, ruleCommit},
		"no pin":                                 {func(p *protocol) { p.failover, p.noPin = true, true }, ruleCommit},
		"neither pin nor term id":                {func(p *protocol) { p.failover, p.noPin, p.noTermID = true, true, true }, ruleCommit},
		"heartbeats of anybody":                  {func(p *protocol) { p.twice, p.anyBeat = true, true }, ruleBeat},
		"no re-check at takeover":                {func(p *protocol) { p.noRecheck = true }, ruleRevived},
		"re-check of the term alone":             {func(p *protocol) { p.termRecheck = true }, ruleRevived},
		"re-check of the heartbeat alone":        {func(p *protocol) { p.beatRecheck = true }, ruleVictim},
		"a watcher that knows terms by epoch":    {func(p *protocol) { p.failover, p.sightByEpoch = true, true }, ruleVictim},
		"no registration in the grant":           {func(p *protocol) { p.lateRegister = true }, ruleProgress},
		"a new term ends no open work":           {func(p *protocol) { p.spareWork = true }, ruleProgress},
		"release and unlock in two steps":        {func(p *protocol) { p.unlockLater = true }, ruleProgress},
		"lease mode: heartbeats of anybody":      {func(p *protocol) { p.lease, p.anyBeat = true, true }, ruleBeat},
		"lease mode: no re-check at takeover":    {func(p *protocol) { p.lease, p.noRecheck = true, true }, ruleRevived},
		"lease mode: a plain UPDATE as the bump": {func(p *protocol) { p.lease, p.plainUpdate = true, true }, ruleCommit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bounded(m.change).explore().breaks(t, m.rule)
		})
	}
}
