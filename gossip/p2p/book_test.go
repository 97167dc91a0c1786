package p2p

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"syncline/gossip"
)

func TestBookKeepsTheBestFirst(t *testing.T) {
	b, err := openBook("")
	must(t, err)
	d := gossip.DeviceID{1}
	const first, second = "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"
	b.learn(d, first, second, first)
	b.worked(d, second)
	if got := b.addrs(d); !slices.Equal(got, []string{second, first}) {
		t.Errorf("addresses %v", got)
	}
}

// A full entry learns where a device went, at the cost of the address learned first.
func TestFullEntryLearns(t *testing.T) {
	b, err := openBook("")
	must(t, err)
	d := gossip.DeviceID{1}
	const hand, worked, moved = "/ip4/10.9.9.9/tcp/1", "/ip4/10.8.8.8/tcp/1", "/ip4/10.7.7.7/tcp/1"
	addr := func(i int) string { return fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i) }
	b.addByHand(d, hand)
	b.worked(d, worked)
	for i := range bookAddrsMax - 2 {
		b.learn(d, addr(i))
	}
	b.learn(d, moved)
	got := b.addrs(d)
	if len(got) != bookAddrsMax || !slices.Equal(got[:4], []string{worked, hand, moved, addr(bookAddrsMax - 3)}) {
		t.Errorf("addresses %v", got)
	}
	if slices.Contains(got, addr(0)) {
		t.Error("the oldest learned address is still there")
	}
}

func TestBookIsBounded(t *testing.T) {
	b, err := openBook("")
	must(t, err)
	d := gossip.DeviceID{0xff, 0xff, 0xff}
	b.addByHand(d, "/ip4/10.9.9.9/tcp/1")
	for i := range 3 * bookAddrsMax {
		b.worked(d, fmt.Sprintf("/ip4/10.0.0.%d/tcp/1", i))
	}
	if got := b.addrs(d); len(got) != bookAddrsMax || !slices.Contains(got, "/ip4/10.9.9.9/tcp/1") {
		t.Errorf("%d addresses, the hand-added one among them: %v", len(got), got)
	}
	for i := range 3 * bookAddrsMax {
		b.addByHand(d, fmt.Sprintf("/ip4/10.1.0.%d/tcp/1", i))
	}
	if got := b.addrs(d); len(got) != bookAddrsMax {
		t.Errorf("%d hand-added addresses", len(got))
	}
	b.seen(d, time.Unix(1000, 0))
	for i := range 2 * bookDevicesMax {
		b.seen(gossip.DeviceID{byte(i), byte(i >> 8)}, time.Unix(int64(i), 0))
	}
	if len(b.entries) > bookDevicesMax {
		t.Errorf("%d devices", len(b.entries))
	}
	if b.lastSeen(d).IsZero() {
		t.Error("the device seen last was forgotten")
	}
}

func TestBookSurvives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "book")
	b, err := openBook(file)
	must(t, err)
	d, at := gossip.DeviceID{1}, time.Unix(1234, 0)
	b.addByHand(d, "/ip4/10.0.0.1/tcp/1")
	b.seen(d, at)
	must(t, b.save())
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := openBook(file)
	must(t, err)
	if got := again.addrs(d); len(got) != 1 || !again.lastSeen(d).Equal(at) {
		t.Errorf("read back %v, seen %v", got, again.lastSeen(d))
	}
}

// A damaged book is reported and starts empty; nonsense in a readable one is dropped.
func TestDamagedBook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "book")
	must(t, os.WriteFile(file, []byte("{"), 0o600))
	if b, err := openBook(file); err == nil || b == nil {
		t.Errorf("openBook = %v, %v", b, err)
	}
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"x": {}, "%v": null, "%v": {"addrs": ["?", "/ip4/10.0.0.1/tcp/1"], "hand": ["?"]}}`,
		gossip.DeviceID{1}, gossip.DeviceID{2}), 0o600))
	b, err := openBook(file)
	must(t, err)
	if got := b.addrs(gossip.DeviceID{2}); len(b.entries) != 1 || len(got) != 1 {
		t.Errorf("%d devices, addresses %v", len(b.entries), got)
	}
}
