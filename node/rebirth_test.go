package node_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/nodetest"
)

// TestALostStoreIsFetchedAgain: a database that the disk has spoiled does not open, and the device says what to do. Without it the device
// keeps its key and its name, is invited once more, and gets everything that another device has; also the one that founded the space.
func TestALostStoreIsFetchedAgain(t *testing.T) {
	for _, founder := range []bool{false, true} {
		t.Run(map[bool]string{false: "a device that joined", true: "the founder"}[founder], func(t *testing.T) { testLostStore(t, founder) })
	}
}

func testLostStore(t *testing.T, founder bool) {
	hub := new(nodetest.Hub)
	config := func(name string) node.Config {
		return node.Config{Name: name, Dir: t.TempDir(), RuntimeDir: t.TempDir(), Network: hub.New(), AntiEntropy: time.Second}
	}
	ca, cb := config("laptop"), config("desktop")
	a, b := open(t, ca), open(t, cb)
	join(t, a, b)
	helper, patient, cfg := a, b, cb
	if founder {
		helper, patient, cfg = b, a, ca
	}
	fill(t, helper, "x", 2000, 500)
	mustPut(t, space(t, patient), "mine", "1")
	mustPut(t, space(t, helper), "deleted", "1")
	caughtUp(t, space(t, helper), patient.Name())
	caughtUp(t, space(t, patient), helper.Name())
	mustDelete(t, space(t, helper), "deleted")
	caughtUp(t, space(t, helper), patient.Name())
	if err := patient.Close(); err != nil {
		t.Fatal(err)
	}

	db := spoil(t, cfg.Dir)
	cfg.Network = hub.New()
	_, err := node.Open(within(t), cfg)
	var p *node.Problem
	if !errors.As(err, &p) || !errors.Is(err, node.ErrStore) || !strings.Contains(p.Hint, db) || !strings.Contains(p.Hint, "peer join") {
		t.Fatalf("a spoiled database: %v, %+v: want what to do with %s", err, p, db)
	}
	if err := os.Rename(db, db+".spoiled"); err != nil {
		t.Fatal(err)
	}
	cfg.Network = hub.New()
	again := open(t, cfg)
	if again.ID() != patient.ID() || again.Name() != patient.Name() {
		t.Errorf("the device is %s %v now and was %s %v", again.Name(), again.ID(), patient.Name(), patient.ID())
	}
	join(t, helper, again)
	caughtUp(t, space(t, helper), patient.Name())
	mustPut(t, space(t, again), "mine", "2")
	await(t, space(t, helper), "mine", "2")
	if got, want := versions(t, space(t, again)), versions(t, space(t, helper)); !maps.Equal(got, want) || len(want) != 2001 {
		t.Errorf("%d entries here, %d there, want the same 2001", len(got), len(want))
	}
	for _, n := range []*node.Node{helper, again} {
		st, err := space(t, n).Status(within(t))
		if err != nil || len(st.Warnings) > 0 || len(st.Devices) != 1 || st.Conflicts > 0 {
			t.Errorf("%s: %+v, %v", n.Name(), st, err)
		}
	}
}

// spoil writes over a part of each file of the database of the only space, and returns its folder.
func spoil(t *testing.T, dir string) string {
	t.Helper()
	dbs, err := filepath.Glob(filepath.Join(dir, "spaces", "*", "db"))
	if err != nil || len(dbs) != 1 {
		t.Fatalf("databases %v, %v", dbs, err)
	}
	files, err := os.ReadDir(dbs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dbs[0], f.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(b) / 3; i < 2*len(b)/3; i++ {
			b[i] ^= 0xa5
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dbs[0]
}
