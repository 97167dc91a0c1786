package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// A patient is a device whose datastore a test can damage.
type patient struct {
	t   *testing.T
	n   *node.Node
	s   *node.Space
	dir string
	// ds is the datastore that was opened last.
	ds     *mem.Datastore
	stores map[string]*mem.Datastore
}

// backend gives each folder a datastore of its own, the same when it is opened again.
func (p *patient) backend(place string) (datastore.Batching, store.BootToken, error) {
	if p.stores[place] == nil {
		p.stores[place] = mem.New()
	}
	p.ds = p.stores[place]
	return p.ds, nil, nil
}

func newPatient(t *testing.T, hub *nodetest.Hub, name string) *patient {
	p := &patient{t: t, dir: t.TempDir(), stores: map[string]*mem.Datastore{}}
	p.n = open(t, node.Config{Dir: p.dir, Name: name, Network: hub.New(), Backend: p.backend})
	p.s = space(t, p.n)
	return p
}

// damage makes the record of a path unreadable; the way there is in package store.
func (p *patient) damage(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if had, err := p.ds.Has(context.Background(), datastore.RawKey(key)); err != nil || !had {
			p.t.Fatalf("%s is not there: %v", key, err)
		}
		if err := p.ds.Put(context.Background(), datastore.RawKey(key), []byte{1, 0xff, 0xff}); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *patient) put(path, value string) {
	p.t.Helper()
	if _, err := p.s.Put(within(p.t), path, node.Text(value)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) sync() {
	p.t.Helper()
	if _, err := p.s.WaitSync(within(p.t), node.SyncOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// repair returns what became of each path: the name of the device that helped, "alone", "given up", or the code of the problem.
func (p *patient) repair(o node.RepairOptions) map[string]string {
	p.t.Helper()
	all, err := p.s.Repair(within(p.t), "", o)
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range all {
		switch {
		case r.Err != nil:
			out[r.Path] = r.Err.Code
		case r.GivenUp:
			out[r.Path] = "given up"
		default:
			out[r.Path] = r.From.Name
		}
	}
	return out
}

// want compares what is shown; an empty value is none.
func (p *patient) want(values map[string]string) {
	p.t.Helper()
	for path, value := range values {
		e, err := p.s.Get(within(p.t), path)
		switch {
		case value == "" && !errors.Is(err, node.ErrNotFound):
			p.t.Errorf("%s: %v, %v", path, e, err)
		case value != "" && (err != nil || string(e.Shown().Data) != value):
			p.t.Errorf("%s: %v, want %q", path, err, value)
		}
	}
}

// check ends the device and looks at all of its records.
func (p *patient) check() {
	p.t.Helper()
	if err := p.n.Close(); err != nil {
		p.t.Fatal(err)
	}
	st, err := store.Open(context.Background(), p.ds.Clone(), store.Options{})
	if err == nil {
		err = st.Check()
	}
	if err != nil {
		p.t.Error(err)
	}
}

// TestRepairFetchesWhatWasLost: values of both devices, one that was replaced meanwhile, one deleted meanwhile, one in conflict, a
// remembered delete, and what was written elsewhere meanwhile. Everything is as if nothing had been lost.
func TestRepairFetchesWhatWasLost(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("mine", "1")
	a.put("replaced", "1")
	a.put("deleted", "1")
	a.put("gone", "1")
	a.sync()
	b.put("theirs", "2")
	if _, err := b.s.Delete(within(t), "gone"); err != nil {
		t.Fatal(err)
	}
	b.sync()
	hub.Cut(a.n.ID())
	a.put("open", "a")
	b.put("open", "b")
	hub.Heal()
	a.sync()
	b.sync()
	hub.Cut(a.n.ID())
	a.put("later", "3")
	b.put("replaced", "2")
	if _, err := b.s.Delete(within(t), "deleted"); err != nil {
		t.Fatal(err)
	}
	a.damage("/d/mine", "/d/theirs", "/d/replaced", "/d/deleted", "/d/open", "/r/d/gone")
	if _, err := a.s.Get(within(t), "mine"); !errors.Is(err, node.ErrStore) || node.ProblemOf(err).Path != "mine" {
		t.Errorf("a damaged record: %v", err)
	}
	a.want(map[string]string{"later": "3"})
	for path, what := range a.repair(node.RepairOptions{}) { // the log of deletes needs nobody
		if lost := what == "unreachable"; lost != (path != "gone") {
			t.Errorf("with nobody connected: %s: %q", path, what)
		}
	}
	if st, err := a.s.Status(within(t)); err != nil || len(st.Warnings) != 1 || st.Warnings[0].Code != node.AlarmCorrupt {
		t.Errorf("what stays damaged is not warned of: %+v, %v", st.Warnings, err)
	}
	hub.Heal()
	for { // the network has told both ends by the time that a device is found
		all, err := a.s.Repair(within(t), "", node.RepairOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			break
		}
		for _, r := range all {
			if r.Err == nil && r.From.Name != "desktop" {
				t.Errorf("%s: from %q", r.Path, r.From.Name)
			}
		}
	}
	a.sync()
	b.sync()
	for _, p := range []*patient{a, b} {
		p.want(map[string]string{"mine": "1", "theirs": "2", "replaced": "2", "deleted": "", "gone": "", "later": "3"})
		if c, err := p.s.Conflict(within(t), "open"); err != nil || len(c.Values) != 2 {
			t.Errorf("the conflict: %v, %v", c, err)
		}
		if st, err := p.s.Status(within(t)); err != nil || len(st.Warnings) > 0 {
			t.Errorf("%+v, %v", st.Warnings, err)
		}
	}
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	a.check()
	b.check()
}

// digest returns what all devices that hold the same agree on.
func (p *patient) digest() string {
	st, err := store.Open(context.Background(), p.ds.Clone(), store.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprintf("%x %x", st.Head().Digest, st.Context().Hash())
}

// TestRepairBelievesNobodyWhoHasNotSeenIt: a device that never had what was lost does not make it deleted, and is given no state that
// claims it; what others have is repaired all the same, and giving up is a delete.
func TestRepairBelievesNobodyWhoHasNotSeenIt(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("shared", "1")
	a.sync()
	hub.Cut(a.n.ID())
	a.put("lonely", "2")
	a.damage("/d/shared", "/d/lonely")
	hub.Heal()
	var got map[string]string
	for got = a.repair(node.RepairOptions{}); got["shared"] == "unreachable"; got = a.repair(node.RepairOptions{}) {
	}
	if got["shared"] != "desktop" || got["lonely"] != "not_elsewhere" {
		t.Errorf("repaired %v", got)
	}
	a.want(map[string]string{"shared": "1"})
	if _, err := a.s.Get(within(t), "lonely"); !errors.Is(err, node.ErrStore) {
		t.Errorf("what nobody has: %v", err)
	}
	b.want(map[string]string{"shared": "1", "lonely": ""})
	if got := a.repair(node.RepairOptions{GiveUp: true}); got["lonely"] != "given up" {
		t.Errorf("repaired %v", got)
	}
	a.put("after", "3")
	a.sync()
	b.sync()
	b.want(map[string]string{"shared": "1", "lonely": "", "after": "3"})
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	a.check()
}

// TestGivingUpIsADelete: also for devices that have seen what was given up, and still have it.
func TestGivingUpIsADelete(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("x", "1")
	a.put("y", "1")
	a.sync()
	b.want(map[string]string{"x": "1", "y": "1"})
	hub.Cut(a.n.ID())
	a.damage("/d/x")
	for got := map[string]string{}; got["x"] != "given up"; {
		got = a.repair(node.RepairOptions{GiveUp: true})
	}
	hub.Heal()
	a.put("after", "3")
	a.sync()
	b.sync()
	for _, p := range []*patient{a, b} {
		p.want(map[string]string{"x": "", "y": "1", "after": "3"})
		p.check()
	}
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	for h, err := range a.s.History(within(t), "x", node.HistoryOptions{}) {
		if err == nil && len(h.Data) == 0 && !h.Deleted {
			t.Errorf("history holds what stood for the lost value: %+v", h)
		}
	}
}

// Conflicts names a damaged record and goes on after it.
func TestConflictsGoOnAfterADamagedRecord(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	hub.Cut(a.n.ID())
	for _, path := range []string{"a", "b", "c"} {
		a.put(path, "1")
		b.put(path, "2")
	}
	hub.Heal()
	a.sync()
	a.damage("/d/b")
	var got []string
	for c, err := range a.s.Conflicts(within(t), "") {
		if err != nil {
			c.Path = "!" + node.ProblemOf(err).Path
		}
		got = append(got, c.Path)
	}
	if fmt.Sprint(got) != "[a !b c]" {
		t.Errorf("conflicts %q", got)
	}
}

// TestReplicationMendsWhatItMeets: a write of another device to a path whose record is damaged has the record fetched anew, without
// anybody asking, and replication goes on. The warning stays, for the disk may be failing.
func TestReplicationMendsWhatItMeets(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	a.put("gossiped", "1")
	a.put("synced", "1")
	a.sync()
	b.sync()
	a.damage("/d/gossiped")
	b.put("gossiped", "2")
	b.put("other", "2")
	b.sync()
	hub.Cut(a.n.ID())
	a.damage("/d/synced")
	b.put("synced", "2")
	b.put("another", "2")
	hub.Heal()
	b.sync()
	a.want(map[string]string{"gossiped": "2", "other": "2", "synced": "2", "another": "2"})
	st, err := a.s.Status(within(t))
	if err != nil || len(st.Warnings) != 1 || st.Warnings[0].Code != node.AlarmCorrupt {
		t.Errorf("%+v, %v", st.Warnings, err)
	}
	a.sync()
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	if got := a.repair(node.RepairOptions{}); len(got) > 0 {
		t.Errorf("still damaged: %v", got)
	}
	a.check()
}

// TestAWriteToADamagedPathIsRefused: the answer names the path and the remedy, and nothing else is disturbed.
func TestAWriteToADamagedPathIsRefused(t *testing.T) {
	var hub nodetest.Hub
	p := newPatient(t, &hub, "laptop")
	p.put("here", "1")
	p.damage("/d/here")
	_, err := p.s.Put(within(t), "here", node.Text("2"))
	if !errors.Is(err, node.ErrStore) || node.ProblemOf(err).Path != "here" || node.ProblemOf(err).Hint == "" {
		t.Errorf("%v", err)
	}
	p.put("there", "2")
	st, err := p.s.Status(within(t))
	if err != nil || len(st.Warnings) != 1 || st.Warnings[0].Code != node.AlarmCorrupt {
		t.Errorf("%+v, %v", st.Warnings, err)
	}
}

// TestADamagedDeleteIsNotForgotten: while the record of a remembered delete is damaged no delete is forgotten, and everything else
// goes on.
func TestADamagedDeleteIsNotForgotten(t *testing.T) {
	p := &patient{t: t, stores: map[string]*mem.Datastore{}}
	p.n = open(t, node.Config{Dir: t.TempDir(), Name: "laptop", Backend: p.backend, DeleteLog: 2})
	p.s = space(t, p.n)
	remove := func(path string) {
		p.put(path, "1")
		if _, err := p.s.Delete(within(t), path); err != nil {
			t.Fatal(err)
		}
	}
	remove("a")
	p.damage("/r/d/a")
	for _, path := range []string{"b", "c", "d"} {
		remove(path)
	}
	p.put("after", "1")
	p.repair(node.RepairOptions{}) // or it was, without being asked for
	remove("e")
	p.want(map[string]string{"after": "1", "a": "", "e": ""})
	if st, err := store.Open(within(t), p.ds.Clone(), store.Options{}); err != nil || st.Head().Deletes > 2 {
		t.Errorf("%+v, %v", st.Head(), err)
	}
	p.check()
}

// TestTwoDamagedRecordsDoNotBlockEachOther: what repairs one brings the other, too.
func TestTwoDamagedRecordsDoNotBlockEachOther(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	b.put("x", "1")
	b.put("y", "1")
	a.sync()
	b.sync()
	a.damage("/d/x", "/d/y")
	b.put("x", "2")
	b.put("other", "2")
	await(t, a.s, "other", "2")
	a.want(map[string]string{"x": "2", "y": "1", "other": "2"})
}

// TestTwoDamagedDevicesRepairEachOther, at the same time, where each can read what the other lost. What neither can read is named, with what
// can be done, and a third device that has it repairs it on both.
func TestTwoDamagedDevicesRepairEachOther(t *testing.T) {
	var hub nodetest.Hub
	a, b, c := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop"), newPatient(t, &hub, "phone")
	join(t, a.n, b.n)
	join(t, a.n, c.n)
	b.s, c.s = space(t, b.n), space(t, c.n)
	for _, path := range []string{"a", "b", "both", "c", "d", "z"} {
		a.put(path, "1")
	}
	a.sync()
	hub.Cut(c.n.ID())
	b.put("c", "2")
	b.sync()
	a.damage("/d/a", "/d/both", "/d/d")
	b.damage("/d/b", "/d/both", "/d/z")
	b.put("later", "2")
	results := make(chan map[string]string, 2)
	for _, p := range []*patient{a, b} {
		go func() { results <- p.repair(node.RepairOptions{}) }()
	}
	want := map[string]string{"a": "desktop", "d": "desktop", "b": "laptop", "z": "laptop", "both": "damaged_elsewhere"}
	for range 2 {
		for path, what := range <-results { // some may be whole again without having been asked for
			if what != want[path] {
				t.Errorf("%s: %q, want %q", path, what, want[path])
			}
		}
	}
	for _, p := range []*patient{a, b} {
		p.want(map[string]string{"a": "1", "b": "1", "c": "2", "d": "1", "z": "1", "later": "2"})
		all, err := p.s.Repair(within(t), "both", node.RepairOptions{})
		if err != nil || len(all) != 1 || all[0].Err == nil || all[0].Err.Path != "both" || all[0].Err.Hint == "" {
			t.Errorf("%+v, %v", all, err)
		}
	}
	hub.Heal()
	for _, p := range []*patient{a, b} {
		for got := p.repair(node.RepairOptions{}); len(got) > 0; got = p.repair(node.RepairOptions{}) {
			if who := got["both"]; who != "phone" && who != "desktop" && who != "laptop" && who != "unreachable" && who != "damaged_elsewhere" {
				t.Errorf("both: %q", who)
			}
		}
	}
	a.sync()
	b.sync()
	if da, db := a.digest(), b.digest(); da != db {
		t.Errorf("digests differ: %s, %s", da, db)
	}
	a.check()
	b.check()
}

// TestWhatIsTooMuchElsewhereIsNotLost: the desktop has what was lost and cannot send it. That is not given up; what nobody has is.
func TestWhatIsTooMuchElsewhereIsNotLost(t *testing.T) {
	var hub nodetest.Hub
	a := newPatient(t, &hub, "laptop")
	b := open(t, node.Config{Name: "desktop", Network: hub.New(), RowsMemory: 800})
	join(t, a.n, b)
	busy := strings.Repeat("busy", 200)
	a.put(busy, "1")
	a.sync()
	hub.Cut(b.ID())
	a.put("own", "1")
	a.damage("/d/"+busy, "/d/own")
	hub.Heal()
	var o node.RepairOptions
	for gone := false; !gone; { // until both are connected and in no other session
		all, err := a.s.Repair(within(t), "", o)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			switch {
			case r.Path == "own":
				gone = r.GivenUp
			case r.Err == nil:
				t.Fatalf("%+v", r)
			case errors.Is(r.Err, node.ErrTooManyValues) && strings.Contains(r.Err.Detail, "desktop"):
				o.GiveUp = true
			case !errors.Is(r.Err, node.ErrUnreachable):
				t.Fatal(r.Err)
			}
		}
	}
	if e, err := space(t, b).Get(within(t), busy); err != nil || string(e.Shown().Data) != "1" {
		t.Errorf("the desktop shows %v, %v", e, err)
	}
}

// TestAWaitNamesWhatIsLeftOut: the other device cannot catch up with it.
func TestAWaitNamesWhatIsLeftOut(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Name: "laptop", Network: hub.New(), RowsMemory: 800, NoGossip: true})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	join(t, a, b)
	s, busy := space(t, a), strings.Repeat("busy", 200)
	if _, err := s.Put(within(t), busy, node.Text("1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(within(t))
	go func() { // no longer than until it is known
		defer cancel()
		for ctx.Err() == nil {
			if st, err := s.Status(ctx); err == nil && len(st.Warnings) > 0 {
				return
			}
		}
	}()
	if _, err := s.WaitSync(ctx, node.SyncOptions{}); !errors.Is(err, node.ErrNotCaughtUp) || !strings.Contains(err.Error(), busy) {
		t.Error(err)
	}
}

// TestADamagedBindingHealsByItself, with nothing else damaged, as soon as a connected device has it.
func TestADamagedBindingHealsByItself(t *testing.T) {
	var hub nodetest.Hub
	a := newPatient(t, &hub, "laptop")
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	join(t, a.n, b)
	s, ctx := space(t, b), within(t)
	write := func(value string) {
		if _, err := s.Put(ctx, "x", node.Text(value)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.WaitSync(ctx, node.SyncOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	if err := a.n.Close(); err != nil {
		t.Fatal(err)
	}
	bindings := map[string][]byte{}
	all, err := a.ds.Query(ctx, query.Query{Prefix: "/o"})
	if err != nil {
		t.Fatal(err)
	}
	for e := range all.Next() {
		bindings[e.Key] = e.Value
	}
	a.damage(slices.Collect(maps.Keys(bindings))...)
	a.n = open(t, node.Config{Dir: a.dir, Name: "laptop", Network: hub.New(), Backend: a.backend})
	for key, was := range bindings {
		for n := 2; ; n++ { // until it is met, and was fetched
			write(fmt.Sprint(n))
			if now, err := a.ds.Get(ctx, datastore.RawKey(key)); err == nil && bytes.Equal(now, was) {
				break
			}
		}
	}
}
