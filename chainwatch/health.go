package chainwatch

import (
	"slices"
	"time"

	"goodcontrol/custody"
)

// State is what a follower is doing.
type State string

// The states of a follower.
const (
	Starting  State = "starting"
	Following State = "following"
	Failing   State = "failing"  // the last poll failed; it is tried again
	Violated  State = "violated" // something final was contradicted; it has stopped
	// Blocks may still be seen as included, but none becomes safe or final: fewer
	// endpoints than have to agree stand with our chain, since others name other
	// blocks (Disagreeing), or do not answer (TooFew).
	Disagreeing State = "disagreeing"
	TooFew      State = "too_few"
)

// Health is the state and the age of what a follower knows.
type Health struct {
	State State `json:"state"`
	// Head, Safe and Final are the chain as last committed; HeadTime is the time in
	// the head's block.
	Head     BlockID   `json:"head"`
	Safe     BlockID   `json:"safe"`
	Final    BlockID   `json:"final"`
	HeadTime time.Time `json:"head_time"`
	// Violated is when something final was found contradicted, until people have
	// released that. It names the violation.
	Violated time.Time `json:"violated,omitzero"`
	// Polled is when the source last answered everything it was asked.
	Polled time.Time `json:"polled"`
	// LastError is the error of the last poll that failed, and LastErrorAt when.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Quorum is how many endpoints have to agree, and Endpoints what each said last;
	// zero and empty when the source's word is taken.
	Quorum    int        `json:"quorum,omitempty"`
	Endpoints []Standing `json:"endpoints,omitempty"`
	// Disagreement is the last one that was seen, open or over, also when enough
	// endpoints agree so that following goes on.
	Disagreement *Disagreement `json:"disagreement,omitempty"`
	// Unproven are the assets whose balances could not be proven when they were last
	// read, with why: what was said of them before is no longer vouched for.
	Unproven map[custody.AssetID]string `json:"unproven,omitempty"`
	// Quarantined counts transfers of assets that are not listed.
	Quarantined uint64 `json:"quarantined"`
}

// Health tells the follower's state. It may be called from any goroutine.
func (f *Follower) Health() Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *Follower) setState(s State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.State = s
}

func (f *Follower) failed(state State, err error) {
	now := f.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.State, f.state.LastError, f.state.LastErrorAt = state, err.Error(), now
}

func (f *Follower) succeeded() {
	now := f.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.State, f.state.Polled = Following, now
}

// show publishes the position.
func (f *Follower) show() {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.pos.head
	f.state.Head, f.state.Safe, f.state.Final, f.state.HeadTime = h.Tip().BlockID, h.Safe(), h.Final(), h.Tip().Time
	f.state.Violated = time.Time{}
	if h.Violated() != nil {
		f.state.Violated = f.pos.violatedAt
	}
}

// showRound publishes what the witnesses said. What was published before is not
// changed: it may be in other hands.
func (f *Follower) showRound(a *advance) {
	now := f.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(a.stands) > 1 {
		f.state.Quorum, f.state.Endpoints = a.k, nil
		for _, s := range a.stands {
			f.state.Endpoints = append(f.state.Endpoints, s.standing())
		}
	}
	if last := f.state.Disagreement; a.disagreement != nil || last != nil && a.settles(*last) {
		f.state.Disagreement = a.disagreement.after(last, now)
	}
}

// settles says whether all who disagreed are of our chain now, or cordoned: that one
// of them is silent ends nothing.
func (a *advance) settles(d Disagreement) bool {
	for _, s := range a.stands {
		party := slices.ContainsFunc(d.Claims, func(c Claim) bool { return slices.Contains(c.Endpoints, s.witness.Name()) })
		if party && !s.follows() && s.witness.Cordoned() == nil {
			return false
		}
	}
	return true
}

// after is what is to be shown of a disagreement, or of none, after another one.
func (d *Disagreement) after(last *Disagreement, now time.Time) *Disagreement {
	open := last != nil && last.Until.IsZero()
	switch {
	case d == nil && open:
		over := *last
		over.Until = now
		return &over
	case d == nil, open && d.same(*last):
		return last
	}
	begun := *d
	begun.Since = now
	return &begun
}
