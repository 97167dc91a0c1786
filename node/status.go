package node

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
)

// clockSkewMax is the difference of clocks from which on a person is warned.
const clockSkewMax = time.Minute

// refreshTime bounds how long Status waits for devices to say what they hold now.
const refreshTime = 300 * time.Millisecond

// Status returns one page about this device and the space. It asks the connected devices what they hold and waits for their
// answers for a moment.
func (s *Space) Status(ctx context.Context) (Status, error) {
	if err := s.ended(); err != nil {
		return Status{}, err
	}
	if s.anyUp() {
		quick, cancel := context.WithTimeout(ctx, refreshTime)
		s.WaitSync(quick, SyncOptions{})
		cancel()
	}
	devices, err := s.deviceStatuses(ctx)
	if err != nil {
		return Status{}, err
	}
	head := s.store.Head()
	st := Status{Device: DeviceRef{ID: s.node.id, Name: s.node.name}, Space: s.Info(), Started: s.node.started,
		Entries: head.Entries, Bytes: int64(head.Bytes), Filling: s.Filling(""), Conflicts: head.Conflicts - int(s.settled.count.Load()), Devices: devices,
		Dir: s.node.cfg.Dir, Network: s.node.cfg.Network != nil}
	if st.Network {
		st.Addrs = s.node.cfg.Network.Addrs()
	}
	if invites, err := s.node.Invites(ctx); err == nil {
		st.Invites = len(invites)
	}
	st.Warnings = s.warningList(devices)
	s.mu.Lock()
	st.Alarms = maps.Clone(s.alarms)
	s.mu.Unlock()
	return st, nil
}

// anyUp reports whether any device is connected.
func (s *Space) anyUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, up := range s.up {
		if up {
			return true
		}
	}
	return false
}

func (s *Space) warningList(devices []DeviceStatus) []Warning {
	var out []Warning
	s.mu.Lock()
	for _, w := range s.warnings {
		out = append(out, w)
	}
	s.mu.Unlock()
	if _, member := s.roster.Load().members[s.node.id]; !member {
		out = append(out, Warning{Code: "not_a_member", Text: "this device holds the data of the space and is no member of it, as after restoring a backup",
			Hint: "To sync, have it invited:  peer invite  on a member, then  peer join TICKET  here."})
	}
	for _, f := range s.store.DamagedFiles() {
		out = append(out, s.damagedFile(f))
	}
	out = append(out, s.node.warningList()...)
	for _, d := range devices {
		if d.ClockSkew.Abs() > clockSkewMax {
			out = append(out, Warning{Code: "clock_skew", Text: fmt.Sprintf("the clock of %s differs from ours by %v", d.Name, d.ClockSkew.Round(time.Second)),
				Hint: "Set the clock that is wrong; until then its writes may win or lose conflicts."})
		}
	}
	slices.SortFunc(out, func(a, b Warning) int { return strings.Compare(a.Code+a.Text, b.Code+b.Text) })
	return out
}

// damagedFile says what to do about a file of the database that cannot be read as a whole.
func (s *Space) damagedFile(f *store.FileDamage) Warning {
	db := filepath.Join(s.dir, dbDir)
	return Warning{Code: "damaged_file", Text: fmt.Sprintf("%s is damaged: %v", filepath.Join(db, f.File), f.Err),
		Hint: "The disk may be failing. peer repair names the entries that lie in the file, and fetches them from a connected device; all others can be read and written. " +
			"To be rid of the file, or if peer repair fails:  peer export -o FILE  and  peer down,  move the folder " + db + " away, and start again: the device keeps its name and key, and is empty. " +
			"Have it invited once more:  peer invite  on another device,  peer join TICKET  here.  peer import FILE  brings back what only this device had."}
}

// Devices returns the members of the space, this device first, then by name.
func (s *Space) Devices(ctx context.Context) ([]DeviceStatus, error) {
	if err := s.ended(); err != nil {
		return nil, err
	}
	others, err := s.deviceStatuses(ctx)
	if err != nil {
		return nil, err
	}
	ro := s.roster.Load()
	me := DeviceStatus{DeviceRef: DeviceRef{ID: s.node.id, Name: s.node.name}, State: StateSelf, LastSeen: s.node.cfg.Clock()}
	if m, ok := ro.members[s.node.id]; ok {
		me.Added, me.AddedBy = time.UnixMilli(m.Added).UTC(), ro.ref(m.By)
	}
	if net := s.node.cfg.Network; net != nil {
		me.Addrs = net.Addrs()
	}
	return append([]DeviceStatus{me}, others...), nil
}

func (s *Space) deviceStatuses(ctx context.Context) ([]DeviceStatus, error) {
	ro := s.roster.Load()
	infos := map[gossip.DeviceID]gossip.PeerInfo{}
	if net := s.node.cfg.Network; net != nil {
		for _, p := range net.Peers() {
			infos[p.Device] = p
		}
	}
	var out []DeviceStatus
	for _, d := range ro.ids() {
		if d == s.node.id {
			continue
		}
		st, err := s.deviceStatus(ctx, ro, d, infos[d])
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b DeviceStatus) int {
		return strings.Compare(a.Name+"\x00"+a.ID.String(), b.Name+"\x00"+b.ID.String())
	})
	return out, nil
}

func (s *Space) deviceStatus(ctx context.Context, ro *roster, d gossip.DeviceID, info gossip.PeerInfo) (DeviceStatus, error) {
	m := ro.members[d]
	st := DeviceStatus{DeviceRef: ro.ref(d), Path: info.Path, Addrs: info.Addrs, LastSeen: info.LastSeen,
		Added: time.UnixMilli(m.Added).UTC(), AddedBy: ro.ref(m.By)}
	s.mu.Lock()
	held, met := s.held[d]
	up := s.up[d]
	met = met && !s.unheard[d]
	st.ClockSkew = s.skew[d]
	s.mu.Unlock()
	if met {
		var err error
		if st.Missing, err = s.missing(ctx, held); err != nil {
			return st, err
		}
	}
	switch {
	case up && !met:
		st.State = StateSyncing
	case up && st.Missing.Entries == 0:
		st.State = StateInSync
	case up:
		st.State = StateBehind
	case met || !info.LastSeen.IsZero():
		st.State = StateOffline
	default:
		st.State = StateNeverMet
	}
	return st, nil
}

// missing counts the entries that a device lacks which holds the given vector. It costs what it counts.
func (s *Space) missing(ctx context.Context, held crdt.Vector) (Missing, error) {
	l := lack{held: held, counted: held.Clone(), upto: s.store.Parts().Top()}
	for more := !l.upto.Within(held); more; {
		if err := s.loop.read(ctx, func(tx *store.Tx) (err error) { more, err = l.count(tx); return err }); err != nil {
			return l.Missing, s.listProblem(ctx, err)
		}
	}
	return l.Missing, nil
}

// A lack counts the entries with a value or a remembered delete that is inside upto and outside held, in several steps. What is inside counted
// has been looked at.
type lack struct {
	Missing
	held, counted, upto crdt.Vector
}

// count goes on with the next readNamesMax names, and a transaction at least. It reports whether there are more.
func (l *lack) count(tx *store.Tx) (more bool, err error) {
	lacked := func(d crdt.Dot) bool { return !l.held.Has(d) && l.upto.Has(d) }
	from, looked := l.counted.Clone(), 0
	var last crdt.Dot
	for n, err := range mergeNames(tx.LiveBetween(from, l.upto), tx.DeletesBetween(from, l.upto)) {
		if err != nil {
			return false, err
		}
		if n.Dot != last && last.Counter > 0 {
			if l.counted.Add(last); looked >= readNamesMax {
				return true, nil
			}
		}
		last = n.Dot
		if looked++; crdt.IsSystemPath(n.Path) {
			continue
		}
		reg, err := tx.Register(n.Path)
		if err != nil {
			return false, err
		}
		first, bytes := n.Dot, len(n.Path) // an entry counts with the first of its names
		for _, v := range reg.Live {
			if lacked(v.Dot) {
				bytes += len(v.Data)
				first = earlier(first, v.Dot)
			}
		}
		for _, d := range reg.Deletes {
			if lacked(d.Dot) {
				first = earlier(first, d.Dot)
			}
		}
		if first == n.Dot {
			l.Entries++
			l.Bytes += int64(bytes)
		}
	}
	return false, nil
}

func earlier(a, b crdt.Dot) crdt.Dot {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

// WaitSync starts sessions now and waits until the devices hold, on their disks, all that was here when it was called. If ctx
// ends first it returns [ErrNotCaughtUp], which wraps the error of ctx, and what is known so far.
func (s *Space) WaitSync(ctx context.Context, o SyncOptions) (SyncResult, error) {
	if s.node.cfg.Network == nil {
		return SyncResult{}, ErrLocalOnly.With("it was started without a network")
	}
	var only gossip.DeviceID
	if o.Device != "" {
		var p *Problem
		if only, p = s.roster.Load().find(o.Device); p != nil {
			return SyncResult{}, p
		}
		if only == s.node.id {
			return SyncResult{}, ErrBadRequest.With("%s is this device", s.node.name)
		}
	}
	target := s.store.Parts().Top()
	s.loop.put(ctx, SyncNow{Peer: only})
	for {
		pulse := s.pulse()
		if s.caughtUp(only, target) {
			return s.syncResult(only, true)
		}
		select {
		case <-pulse:
			s.hastenLagging(ctx, only, target)
		case <-ctx.Done():
			res, err := s.syncResult(only, false)
			if err != nil {
				return res, err
			}
			return res, s.notCaughtUp(res).Because(ctx.Err())
		case <-s.loop.quit:
			return SyncResult{}, s.gone()
		}
	}
}

// Ping asks a connected device, a member by its name, short id or id, for an answer and returns how long it took. It returns
// [ErrUnreachable] if the device is not connected or does not answer within seconds.
func (s *Space) Ping(device string) (time.Duration, error) {
	if s.node.cfg.Network == nil {
		return 0, ErrLocalOnly.With("it was started without a network")
	}
	if err := s.ended(); err != nil {
		return 0, err
	}
	d, p := s.roster.Load().find(device)
	if p != nil {
		return 0, p
	}
	if d == s.node.id {
		return 0, ErrBadRequest.With("%s is this device", s.node.name)
	}
	took, err := s.node.cfg.Network.Ping(d)
	if err != nil {
		return 0, ErrUnreachable.With("%s: %v", s.roster.Load().ref(d).Name, err).Because(err).Next("peer devices shows when it was last seen, peer doctor what may be in the way.")
	}
	return took, nil
}

// WaitFor returns once the device, a member by its name, short id or id, holds on its disk all that was here when WaitFor was called.
// It starts sessions now, also with a device that comes up only later; bound it by ctx, after whose end it returns [ErrNotCaughtUp].
func (s *Space) WaitFor(ctx context.Context, device string) error {
	if device == "" {
		return ErrNoDevice.With("WaitFor names one device").Next("WaitSync without a device waits for all that are connected.")
	}
	_, err := s.WaitSync(ctx, SyncOptions{Device: device})
	return err
}

func (s *Space) syncResult(only gossip.DeviceID, caughtUp bool) (SyncResult, error) {
	all, err := s.deviceStatuses(context.Background())
	res := SyncResult{CaughtUp: caughtUp}
	for _, d := range all {
		if only.IsZero() && d.Path != "" || d.ID == only {
			res.Devices = append(res.Devices, d)
		}
	}
	return res, err
}

// caughtUp reports whether a device, or every connected one of at least one, holds target.
func (s *Space) caughtUp(only gossip.DeviceID, target crdt.Vector) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !only.IsZero() {
		return !s.unheard[only] && target.Within(s.held[only])
	}
	connected := 0
	for d, up := range s.up {
		if !up {
			continue
		}
		connected++
		if s.unheard[d] || !target.Within(s.held[d]) {
			return false
		}
	}
	return connected > 0
}

// hastenLagging asks anew those that came up, or whose last session ended too early.
func (s *Space) hastenLagging(ctx context.Context, only gossip.DeviceID, target crdt.Vector) {
	s.mu.Lock()
	var lagging []gossip.DeviceID
	for d, up := range s.up {
		if up && (only.IsZero() || d == only) && (s.unheard[d] || !target.Within(s.held[d])) {
			lagging = append(lagging, d)
		}
	}
	s.mu.Unlock()
	for _, d := range lagging {
		s.loop.put(ctx, SyncNow{Peer: d})
	}
}

func (s *Space) notCaughtUp(res SyncResult) *Problem {
	if len(res.Devices) == 0 {
		return ErrNotCaughtUp.With("no device is connected").Next("peer devices shows when each was last seen; peer up on the other device lets it be found.")
	}
	var parts []string
	for _, d := range res.Devices {
		s.mu.Lock()
		left, some := s.warnings[warningKey(AlarmValues, d.ID)]
		s.mu.Unlock()
		switch {
		case d.Path == "":
			parts = append(parts, fmt.Sprintf("%s is not connected", d.Name))
		case some:
			parts = append(parts, fmt.Sprintf("%s: %s", d.Name, left.Text))
		case d.Missing.Entries > 0:
			parts = append(parts, fmt.Sprintf("%s lacks %d entries", d.Name, d.Missing.Entries))
		default:
			parts = append(parts, fmt.Sprintf("%s has not confirmed yet", d.Name))
		}
	}
	return ErrNotCaughtUp.With("%s", strings.Join(parts, "; ")).Next("peer status shows where each device is; wait longer with --timeout.")
}

// Head is a cheap summary of a space.
type Head struct {
	Entries   int
	Bytes     int64
	Conflicts int
}

// Head returns the number of entries, their bytes, and the number of open Conflicts. It asks nobody and reads no disk.
func (s *Space) Head() Head {
	h := s.store.Head()
	return Head{Entries: h.Entries, Bytes: int64(h.Bytes), Conflicts: h.Conflicts - int(s.settled.count.Load())}
}
