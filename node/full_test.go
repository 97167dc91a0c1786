package node_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// A device whose disk is full starts, so that what it holds can be read, also if an invite has expired whose record is still there.
func TestStartsWithAFullDisk(t *testing.T) {
	var later atomic.Int64
	ds := mem.New()
	cfg := node.Config{Dir: t.TempDir(), Clock: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
		Backend: func(string) (datastore.Batching, store.BootToken, error) { return ds, nil, nil }}
	var hub nodetest.Hub
	cfg.Network = hub.New()
	n := open(t, cfg)
	if _, err := n.Invite(within(t), nil, node.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := space(t, n).Put(within(t), "a", node.Text("kept")); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(time.Hour))
	ds.Inject(mem.DiskFull)
	cfg.Network = hub.New()
	n = open(t, cfg)
	if e, err := space(t, n).Get(within(t), "a"); err != nil || string(e.Shown().Data) != "kept" {
		t.Errorf("read %v, %v", e, err)
	}
	if open, err := n.Invites(within(t)); err != nil || len(open) > 0 {
		t.Errorf("an expired invite is open: %v, %v", open, err)
	}
}

// A device that is given a new name on a full disk starts; the members hear of it when there is room.
func TestANewNameDoesNotKeepADeviceWithAFullDiskFromStarting(t *testing.T) {
	ds := mem.New()
	cfg := node.Config{Dir: t.TempDir(), Name: "before", Backend: func(string) (datastore.Batching, store.BootToken, error) { return ds, nil, nil }}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	ds.Inject(mem.DiskFull)
	cfg.Name = "after"
	if n := open(t, cfg); n.Name() != "after" {
		t.Errorf("it is called %q", n.Name())
	}
}
