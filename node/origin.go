package node

import (
	"slices"
	"time"

	"syncline/crdt"
	"syncline/store"
)

// An Origin names the value of which another one is a copy.
type Origin struct {
	// ID named the value, which Device wrote at Time by its own clock.
	ID     string
	Device DeviceRef
	Time   time.Time
}

// originals returns the values that were brought back among live ones, as [Space.Undo] does, by the dots of those that stand for them now: a
// device decided a Conflict against a value, and later wrote its very content anew. past is what the history of this device has of the path,
// newest first; what it lacks has no original here.
func (s *Space) originals(live []crdt.Value, past []store.Past) map[crdt.Dot]store.Past {
	found := map[crdt.Dot]store.Past{}
	for _, v := range live {
		for p, ok := s.original(v, past); ok; p, ok = s.original(p.Value, past) { // it may have been brought back before; each step is an older value
			found[v.Dot] = p
		}
	}
	return found
}

// original returns the value that the device of v decided against last, before it wrote v with the same content.
func (s *Space) original(v crdt.Value, past []store.Past) (store.Past, bool) {
	device := s.deviceOf(v.Dot.Replica)
	i := slices.IndexFunc(past, func(p store.Past) bool {
		return p.How == store.HowResolve && p.Value.Time < p.ByTime && p.ByTime < v.Time && p.Value.SameContent(v) &&
			!device.IsZero() && s.deviceOf(p.By.Replica) == device
	})
	if i < 0 {
		return store.Past{}, false
	}
	return past[i], true
}

// together returns the originals of all live values if one decision replaced them: they competed then, as what stands for them does now.
func (s *Space) together(live []crdt.Value, past []store.Past) (values []crdt.Value) {
	found := s.originals(live, past)
	for _, v := range live {
		p, ok := found[v.Dot]
		if !ok || p.By != found[live[0].Dot].By {
			return nil
		}
		values = append(values, p.Value)
	}
	return values
}

// kept returns what the history of this device has of a path, newest first. A record that cannot be read is one that is not at hand.
func (s *Space) kept(path string) (past []store.Past) {
	for p, err := range s.store.Kept(path) {
		if err == nil {
			past = append(past, p)
		}
	}
	return past
}

// untold reports whether a value does not say what it was made from, as one that was brought back.
func untold(live []crdt.Value) bool {
	return slices.ContainsFunc(live, func(v crdt.Value) bool { return !v.Descent.IsKnown() })
}

// nameOrigins sets the Origin of the values of a Conflict that were brought back.
func (s *Space) nameOrigins(c *Conflict, reg crdt.Register) {
	if !untold(reg.Live) { // nobody brought back several values: history need not be read
		return
	}
	byID := map[string]crdt.Value{}
	for dot, p := range s.originals(reg.Live, s.kept(c.Path)) {
		byID[ValueID(dot)] = p.Value
	}
	for i := range c.Values {
		if v, ok := byID[c.Values[i].ID]; ok {
			c.Values[i].Origin = &Origin{ID: ValueID(v.Dot), Device: s.refOf(v.Dot.Replica), Time: v.Time.Time()}
		}
	}
}
