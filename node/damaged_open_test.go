package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// ruin makes all records unreadable whose keys begin with prefix.
func ruin(t *testing.T, ds *mem.Datastore, prefix string) {
	t.Helper()
	all, err := ds.Query(context.Background(), query.Query{KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e := range all.Next() {
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		if err := ds.Put(context.Background(), datastore.RawKey(e.Key), []byte{0xff}); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		t.Fatalf("there are no records %s", prefix)
	}
}

// TestADeviceOpensBesideDamage: what cannot be read are local records, members, policies, bindings, the index of conflicts, or the past, because
// the records are damaged or the file that holds them is. The device opens, takes writes, and exchanges what is written then.
func TestADeviceOpensBesideDamage(t *testing.T) {
	var hub nodetest.Hub
	a, b := newPatient(t, &hub, "laptop"), newPatient(t, &hub, "desktop")
	join(t, a.n, b.n)
	b.s = space(t, b.n)
	for _, pattern := range []string{"notes/**", "other/**"} {
		if err := b.s.SetPolicy(within(t), pattern, node.PolicyMergeText); err != nil {
			t.Fatal(err)
		}
	}
	a.put("before", "1")
	a.sync()
	hub.Cut(a.n.ID())
	for _, path := range []string{"notes/a", "open", "decided"} {
		a.put(path, "a")
		b.put(path, "b")
	}
	hub.Heal()
	a.sync()
	b.sync()
	if _, err := b.s.Resolve(within(t), "decided", node.Resolution{KeepAll: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.n.Invite(within(t), nil, node.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.sync()
	if err := b.n.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, prefix := range []string{"/p/held/", "/p/invite/", "/p/undo/", "/p/joined/", "/s/members/", "/s/genesis", "/s/policies/", "/o/", "/c/", "/y/"} {
		for _, rotten := range []bool{false, true} {
			n++
			t.Run(fmt.Sprintf("%s file %t", prefix, rotten), func(t *testing.T) { testOpensBesideDamage(t, &hub, a, b, prefix, rotten, n) })
		}
	}
}

func testOpensBesideDamage(t *testing.T, hub *nodetest.Hub, healthy, sick *patient, prefix string, file bool, n int) {
	a, b := *healthy, *sick
	a.t, b.t, b.ds = t, t, sick.ds.Clone()
	rot := &rotten{Datastore: b.ds}
	if ruin(t, b.ds, prefix); file {
		rot = &rotten{Datastore: sick.ds.Clone()}
		rot.spoil(prefix, prefix+"\xff")
	}
	b.n = open(t, node.Config{Dir: b.dir, Name: "desktop", Network: hub.New(), Backend: func(string) (datastore.Batching, store.BootToken, error) {
		return rot, nil, nil
	}})
	b.s = space(t, b.n)
	here, there := fmt.Sprint("here", n), fmt.Sprint("there", n)
	b.put(here, "1")
	b.sync()
	a.want(map[string]string{here: "1"})
	a.put(there, "1")
	a.sync()
	b.want(map[string]string{there: "1", "before": "1"})
	if _, err := b.s.Status(within(t)); err != nil {
		t.Error(err)
	}
	if err := b.n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedUndoIsPassedOver: the other resolutions can be taken back.
func TestADamagedUndoIsPassedOver(t *testing.T) {
	a := newPatient(t, new(nodetest.Hub), "laptop")
	for _, path := range []string{"x", "y"} {
		line := node.ImportLine{Path: path, Values: []node.Content{node.Text("1"), node.Text("2")}}
		if _, err := a.s.Import(within(t), func(yield func(node.ImportLine, error) bool) { yield(line, nil) }); err != nil {
			t.Fatal(err)
		}
		if _, err := a.s.Resolve(within(t), path, node.Resolution{Policy: node.PolicyMax}); err != nil {
			t.Fatal(err)
		}
	}
	ruin(t, a.ds, "/p/undo/0")
	if e, err := a.s.Undo(within(t), ""); err != nil || e.Path != "y" || len(e.Values) != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := a.s.Undo(within(t), ""); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("the one that is damaged: %v", err)
	}
}
