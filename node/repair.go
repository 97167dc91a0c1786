package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"syncline/gossip"
)

// RepairOptions say how Repair goes about it.
type RepairOptions struct {
	// GiveUp makes what no connected device has count as deleted, here and, with the next session, on every device.
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

// repairTries bounds how often one device is asked while it is busy with other sessions; repairPause lies between.
const (
	repairTries = 20
	repairPause = 250 * time.Millisecond
	// repairWithin bounds the time after which one device is asked again: while a repair is under way other sessions wait.
	repairWithin = 20 * time.Second
)

// Repair looks for records of paths that begin with prefix and do not decode, and puts whole ones in their place. What was lost is
// fetched from connected devices, one after the other; the entry is then what a device that had lost nothing would show. A
// value that no connected device has stays lost, and its path damaged, until one with it is connected or [RepairOptions] gives it up.
// Records below the empty prefix are those of members, too. It reads everything below the prefix.
func (s *Space) Repair(ctx context.Context, prefix string, o RepairOptions) ([]Repaired, error) {
	found, err := s.repair(ctx, prefix, o)
	if err == nil && prefix == "" && !slices.ContainsFunc(found, func(r Repaired) bool { return r.Err != nil }) {
		s.touch(func() { delete(s.warnings, AlarmCorrupt) })
	}
	return found, err
}

// repair is Repair, after which the warning stays: nobody has seen it yet.
func (s *Space) repair(ctx context.Context, prefix string, o RepairOptions) ([]Repaired, error) {
	select {
	case s.repairing <- struct{}{}: // two would break off each other's sessions
		defer func() { <-s.repairing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var found []Repaired
	var open []string
	for path, err := range s.store.Damaged(prefix) {
		if path == "" {
			return nil, storeProblem(err)
		}
		found = append(found, Repaired{Path: path, Damage: err.Error()})
		open = append(open, path)
	}
	note := func(mended []string, edit func(*Repaired)) {
		for i := range found {
			if slices.Contains(mended, found[i].Path) {
				edit(&found[i])
			}
		}
		open = slices.DeleteFunc(open, func(p string) bool { return slices.Contains(mended, p) })
	}
	why := ErrUnreachable.With("no device that has what was lost is connected").Next("Connect a device that has it, and run it again. peer repair --give-up deletes what nobody has.")
	for _, peer := range append(s.connected(), gossip.DeviceID{}) {
		if len(open) == 0 {
			break
		}
		mended, err := s.repairFrom(ctx, Repair{Paths: open, Peer: peer})
		if err != nil {
			note(slices.Clone(open), func(r *Repaired) { r.Err = ProblemOf(err).On(r.Path) })
			return found, err
		}
		note(mended, func(r *Repaired) {
			if !peer.IsZero() {
				r.From = s.roster.Load().ref(peer)
			}
		})
	}
	if o.GiveUp && len(open) > 0 {
		mended, err := s.repairFrom(ctx, Repair{Paths: open, GiveUp: true})
		if err != nil {
			return found, err
		}
		note(mended, func(r *Repaired) { r.GivenUp = true })
	}
	note(slices.Clone(open), func(r *Repaired) { r.Err = why.On(r.Path) })
	return found, nil
}

// connected returns the devices that are connected, in the order of their ids.
func (s *Space) connected() []gossip.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.roster.Load().ids(), func(d gossip.DeviceID) bool { return !s.up[d] })
}

// repairFrom carries out one Repair and returns the paths that are whole now. That a device cannot be asked is no error.
func (s *Space) repairFrom(ctx context.Context, in Repair) ([]string, error) {
	end := time.Now().Add(repairWithin)
	for try := 0; ; try++ {
		rep, err := s.loop.ask(ctx, func(tag uint64) Input { in.Tag = tag; return in })
		if err != nil {
			return nil, err
		}
		if rep.Err == nil {
			return rep.Mended, nil
		}
		if !errors.Is(rep.Err, ErrUnreachable) {
			return rep.Mended, rep.Err
		}
		if in.Peer.IsZero() || len(rep.Mended) > 0 || try == repairTries || time.Now().After(end) {
			return rep.Mended, nil
		}
		select {
		case <-time.After(repairPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
