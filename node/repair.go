package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"syncline/gossip"
)

// RepairOptions say how Repair goes about it.
type RepairOptions struct {
	// GiveUp deletes what no connected device has, here and, with the next session, on every device. Nothing is given up if one of those that
	// are connected could not be asked, and no path of which one has more values than can be exchanged.
	GiveUp bool
}

// Repaired is what became of one damaged path.
type Repaired struct {
	Path string
	// Damage says what was wrong with the record.
	Damage string
	// From is the device that had what was lost; it is zero if nobody had to be asked, and if GivenUp or Err says so.
	From    DeviceRef
	GivenUp bool
	// Err says why the path is still damaged, nil if it is whole.
	Err *Problem
}

// repairTries bounds how often in a row one device is asked that is busy, with repairPause in between; repairWithin bounds all of it, also
// for one that answers slowly.
const (
	repairTries  = 20
	repairPause  = 250 * time.Millisecond
	repairWithin = time.Minute
)

// Repair looks for records of paths that begin with prefix and do not decode, and puts whole ones in their place. What was lost is
// fetched from connected devices, one after the other; the entry is then what a device that had lost nothing would show. A
// value that no connected device has, or can read, stays lost, and its path damaged, until one with it is connected or [RepairOptions] gives
// it up. Each path is a question of its own: one that nobody can help with is in nobody's way.
// [Space.Status] warns of it. Records below the empty prefix are those of members, too, and of which replica belongs to which device. It reads
// everything below the prefix.
func (s *Space) Repair(ctx context.Context, prefix string, o RepairOptions) ([]Repaired, error) {
	found, err := s.repair(ctx, prefix, o)
	unbound := 0
	if err == nil && prefix == "" {
		unbound, err = s.repairBindings(ctx)
	}
	switch left := slices.IndexFunc(found, func(r Repaired) bool { return r.Err != nil }); {
	case left >= 0:
		s.warn(AlarmCorrupt, Warning{Code: AlarmCorrupt, Text: found[left].Damage, Hint: alarmHints[AlarmCorrupt]})
	case unbound > 0: // the alarm has said of which replica
	case err == nil && prefix == "":
		s.touch(func() { delete(s.warnings, AlarmCorrupt) })
	}
	return found, err
}

// repairBindings fetches the bindings that cannot be read from connected devices, and returns how many no one could help with.
func (s *Space) repairBindings(ctx context.Context) (unbound int, err error) {
	release, err := s.aloneInRepair(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	for _, peer := range append([]gossip.DeviceID{{}}, s.connected()...) { // first whether there are any
		rep, err := s.repairFrom(ctx, Repair{Bindings: true, Peer: peer})
		if err != nil || rep.Unbound == 0 {
			return 0, err
		}
		unbound = rep.Unbound
	}
	return unbound, nil
}

// aloneInRepair waits until no other repair is under way: two would break off each other's sessions.
func (s *Space) aloneInRepair(ctx context.Context) (release func(), err error) {
	select {
	case s.repairing <- struct{}{}:
		return func() { <-s.repairing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// repair is Repair, after which the warning stays: nobody has seen it yet.
func (s *Space) repair(ctx context.Context, prefix string, o RepairOptions) ([]Repaired, error) {
	release, err := s.aloneInRepair(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var found []Repaired
	var open []string
	for path, err := range s.store.Damaged(prefix) {
		if path == "" {
			return nil, s.problem(err)
		}
		found = append(found, Repaired{Path: path, Damage: err.Error()})
		open = append(open, path)
	}
	note := func(mended []string, edit func(*Repaired)) { // found and open are sorted: a damaged file holds many paths
		for _, path := range mended {
			if i, ok := slices.BinarySearchFunc(found, path, func(r Repaired, path string) int { return strings.Compare(r.Path, path) }); ok {
				edit(&found[i])
			}
		}
		open = without(open, mended)
	}
	blind := map[string][]string{} // the devices that cannot read a path either
	many := map[string][]string{}  // those that have more of its values than can be exchanged
	var asked []string             // the devices that have said what they have
	var unasked *Problem           // why a connected device has not
	why := ErrUnreachable.With("no device that has what was lost is connected").Next("Connect a device that has it, and run it again. peer repair --give-up deletes what nobody has.")
	for _, peer := range append([]gossip.DeviceID{{}}, s.connected()...) { // first what needs nobody
		if len(open) == 0 {
			break
		}
		rep, err := s.repairFrom(ctx, Repair{Paths: slices.Clone(open), Peer: peer})
		if err != nil {
			note(slices.Clone(open), func(r *Repaired) { r.Err = ProblemOf(err).On(r.Path) })
			return found, err
		}
		from := s.roster.Load().ref(peer)
		note(rep.Mended, func(r *Repaired) {
			if !peer.IsZero() {
				r.From = from
			}
		})
		for _, path := range rep.Unread {
			blind[path] = append(blind[path], from.Name)
		}
		for _, path := range rep.Left {
			many[path] = append(many[path], from.Name)
		}
		switch {
		case peer.IsZero():
		case rep.Err == nil:
			asked = append(asked, from.Name)
		default:
			why = rep.Err.Next("Run it again when that device is there. peer repair --give-up deletes what nobody has.")
			unasked = why
		}
	}
	nowhere := slices.DeleteFunc(slices.Clone(open), func(p string) bool { return len(many[p]) > 0 })
	if o.GiveUp && len(nowhere) > 0 && unasked == nil {
		rep, err := s.repairFrom(ctx, Repair{Paths: nowhere, GiveUp: true})
		if err != nil {
			return found, err
		}
		note(rep.Mended, func(r *Repaired) { r.GivenUp = true })
	}
	if len(asked) > 0 && unasked == nil {
		why = ErrNowhere.With("%s has not seen what was lost here", strings.Join(asked, ", "))
	}
	note(slices.Clone(open), func(r *Repaired) {
		switch {
		case len(many[r.Path]) > 0:
			r.Err = ErrTooManyValues.With("%s has it, but with more values than can be exchanged; decide the conflict there", strings.Join(many[r.Path], ", ")).On(r.Path)
		case len(blind[r.Path]) > 0:
			r.Err = ErrLost.With("%s cannot read it either", strings.Join(blind[r.Path], ", ")).On(r.Path)
		default:
			r.Err = why.On(r.Path)
		}
	})
	return found, nil
}

// connected returns the devices that are connected, in the order of their ids.
func (s *Space) connected() []gossip.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.roster.Load().ids(), func(d gossip.DeviceID) bool { return !s.up[d] })
}

// repairFrom carries out one Repair, again while the device is busy, and returns what came of it. That the device cannot be asked is no
// error.
func (s *Space) repairFrom(ctx context.Context, in Repair) (Reply, error) {
	var all Reply
	end := time.Now().Add(repairWithin)
	for try := 1; ; try++ {
		rep, err := s.loop.ask(ctx, func(tag uint64) Input { in.Tag = tag; return in })
		if err != nil {
			return all, err
		}
		if rep.Err != nil && !rep.Busy && !errors.Is(rep.Err, ErrUnreachable) {
			return all, rep.Err
		}
		if len(rep.Mended) > 0 {
			try = 0
		}
		all.Mended, all.Unread, all.Left, all.Unbound, all.Err = append(all.Mended, rep.Mended...), rep.Unread, rep.Left, rep.Unbound, rep.Err
		in.Paths = without(slices.Clone(in.Paths), rep.Mended)
		if !rep.Busy || len(in.Paths)+rep.Unbound == 0 || try == repairTries || time.Now().After(end) {
			return all, nil
		}
		select {
		case <-time.After(repairPause):
		case <-ctx.Done():
			return all, ctx.Err()
		}
	}
}

// without takes those of the paths that are gone out of them.
func without(paths, gone []string) []string {
	set := make(map[string]bool, len(gone))
	for _, p := range gone {
		set[p] = true
	}
	return slices.DeleteFunc(paths, func(p string) bool { return set[p] })
}
