package node_test

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/node/nodetest"
)

// A floorWatch knows how much of a device's past is below the floor: forgotten delete by delete.
type floorWatch struct{ floor atomic.Int64 }

func (f *floorWatch) Stepping(_ gossip.SpaceID, c node.Committed, _ node.Time, _ []node.Input) {
	f.floor.Store(int64(c.Floor().Len()))
}
func (*floorWatch) Stepped(gossip.SpaceID, []node.Output, error) {}
func (*floorWatch) Replied(gossip.SpaceID, node.Reply)           {}

// TestADeviceIsAwayForAYear: one device sleeps, or is switched off, for a year. Meanwhile the others forget what was deleted and what was
// replaced. When it is back, all that it wrote and all that they did is everywhere, nothing that was deleted comes back, and what was written on
// both sides is a conflict.
func TestADeviceIsAwayForAYear(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(map[bool]string{false: "asleep", true: "off"}[off], func(t *testing.T) { testYear(t, off) })
	}
}

func testYear(t *testing.T, off bool) {
	const deletes, deleteLog = 200, 16
	var passed atomic.Int64
	hub, watch := new(nodetest.Hub), new(floorWatch)
	config := func(name string) node.Config {
		return node.Config{Name: name, Network: hub.New(), DeleteLog: deleteLog, AntiEntropy: time.Second,
			Clock: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }}
	}
	ca := config("laptop")
	ca.Observe = watch
	a, b := open(t, ca), open(t, config("desktop"))
	dir := t.TempDir()
	cc := config("phone")
	cc.Dir = dir
	c := open(t, cc)
	join(t, a, b)
	join(t, a, c)
	sa, sb, sc := space(t, a), space(t, b), space(t, c)
	for i := range deletes {
		mustPut(t, sa, fmt.Sprintf("old/%03d", i), "1")
	}
	for _, path := range []string{"both", "edited", "deleted-there", "deleted-here"} {
		mustPut(t, sa, path, "before")
	}
	caughtUp(t, sa, "desktop", "phone")
	if _, err := c.Invite(within(t), nil, node.InviteOptions{}); err != nil {
		t.Fatal(err)
	}

	hub.Cut(c.ID())
	mustPut(t, sc, "both", "phone")
	mustPut(t, sc, "alone", "phone")
	mustDelete(t, sc, "deleted-there")
	if off {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for month := range 12 {
		passed.Add(int64(365 * 24 * time.Hour / 12))
		for i := month * deletes / 12; i < (month+1)*deletes/12; i++ {
			mustDelete(t, sa, fmt.Sprintf("old/%03d", i))
		}
		mustPut(t, sa, "edited", fmt.Sprintf("month %d", month))
		mustPut(t, sb, fmt.Sprintf("new/%02d", month), "1")
	}
	mustPut(t, sa, "both", "laptop")
	mustDelete(t, sa, "deleted-here")
	caughtUp(t, sa, "desktop")
	if watch.floor.Load() == 0 {
		t.Fatal("no delete was forgotten: the test shows nothing")
	}
	if got, _ := history(t, sa, "edited", 0); got != "month 11 month 10-put" {
		t.Errorf("after a year the history of a path that is written every month is %q", got)
	}

	if off {
		cc.Network = hub.New()
		c = open(t, cc)
		sc = space(t, c)
	}
	hub.Heal()
	await(t, sa, "alone", "phone")
	caughtUp(t, sa, "desktop", "phone")
	caughtUp(t, sc, "laptop", "desktop")
	caughtUp(t, sb, "laptop", "phone")
	want := versions(t, sa)
	for name, s := range map[string]*node.Space{"desktop": sb, "phone": sc} {
		if got := versions(t, s); !maps.Equal(got, want) {
			t.Errorf("%s holds %v, laptop %v", name, got, want)
		}
		if n := s.Head().Conflicts; n != 1 {
			t.Errorf("%s has %d conflicts, want the one of what was written on both sides", name, n)
		}
	}
	if len(want) != 2+1+12 { // both, edited, alone, new/…
		t.Errorf("%d entries are left: %v", len(want), want)
	}
	if open, err := c.Invites(within(t)); err != nil || len(open) > 0 {
		t.Errorf("an invite of last year is open: %v, %v", open, err)
	}
	mustPut(t, sc, "back", "1")
	await(t, sb, "back", "1")
	for _, s := range []*node.Space{sa, sb, sc} {
		st, err := s.Status(within(t))
		if err != nil || len(st.Warnings) > 0 {
			t.Errorf("%v, %v", st.Warnings, err)
		}
	}
}

func mustDelete(t testing.TB, s *node.Space, path string) {
	t.Helper()
	if _, err := s.Delete(within(t), path); err != nil {
		t.Fatalf("delete %s: %v", path, err)
	}
}

// caughtUp waits until devices hold all that is here.
func caughtUp(t testing.TB, s *node.Space, devices ...string) {
	t.Helper()
	for _, d := range devices {
		if err := s.WaitFor(within(t), d); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
	}
}

// versions returns the version of every entry.
func versions(t testing.TB, s *node.Space) map[string]node.Version {
	t.Helper()
	out := map[string]node.Version{}
	for e, err := range s.List(within(t), "", node.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[e.Path] = e.Version
	}
	return out
}
