package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

func backup(t testing.TB, n *node.Node) []byte {
	t.Helper()
	var b bytes.Buffer
	info, err := n.Backup(within(t), &b)
	if err != nil {
		t.Fatal(err)
	}
	if info.Records == 0 || len(info.Spaces) != 1 {
		t.Fatalf("%+v", info)
	}
	return b.Bytes()
}

func restore(t testing.TB, b []byte) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if _, err := node.Restore(within(t), bytes.NewReader(b), node.RestoreOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBackupIsANewDeviceWithTheData: it reads and writes on its own, is let in by a device that joined after the backup was made, and
// then both have what either wrote. The old device lives on.
func TestBackupIsANewDeviceWithTheData(t *testing.T) {
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Name: "laptop", Network: hub.New()})
	sa := space(t, a)
	mustPut(t, sa, "a", "1")
	mustPut(t, sa, "a", "2")
	b := backup(t, a)
	mustPut(t, sa, "a", "3")
	phone := open(t, node.Config{Name: "phone", Network: hub.New()})
	join(t, a, phone)

	dir := restore(t, b)
	r := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Name: "restored", Network: hub.New()})
	sr := space(t, r)
	if r.ID() == a.ID() || sr.Info().ID != sa.Info().ID {
		t.Fatalf("device %v of %v, space %v of %v", r.ID(), a.ID(), sr.Info().ID, sa.Info().ID)
	}
	if got, _ := history(t, sr, "a", 0); got != "2 1-put" {
		t.Errorf("restored: %q", got)
	}
	mustPut(t, sr, "mine", "here")
	if _, err := r.Invite(within(t), nil, node.InviteOptions{}); !errors.Is(err, node.ErrForbidden) {
		t.Errorf("a device that is no member invites: %v", err)
	}
	st, err := sr.Status(within(t))
	if err != nil || len(st.Warnings) != 1 || st.Warnings[0].Code != "not_a_member" {
		t.Errorf("%+v, %v", st.Warnings, err)
	}

	join(t, phone, r)
	sr = space(t, r)
	await(t, sr, "a", "3")
	await(t, sa, "mine", "here")
	mustPut(t, sr, "a", "4")
	await(t, sa, "a", "4")
	if st, err := sr.Status(within(t)); err != nil || len(st.Warnings) != 0 || len(st.Devices) != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := sa.Conflict(within(t), "a"); !errors.Is(err, node.ErrNoConflict) {
		t.Errorf("a conflict: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Network: hub.New()})
	await(t, space(t, r), "a", "4")
}

// TestBackupWhileWriting is whole, and of one moment: of two values that are written together neither is newer.
func TestBackupWhileWriting(t *testing.T) {
	n := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Relaxed: true})
	s := space(t, n)
	stop, done := make(chan struct{}), make(chan error, 1)
	write := func(i int) error {
		_, err := s.Tx(context.Background(), func(tx *node.Tx) error {
			tx.Put("first", node.Text(fmt.Sprint(i)))
			tx.Put("zlast", node.Text(fmt.Sprint(i)))
			return nil
		})
		return err
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := write(i); err != nil {
				done <- err
				return
			}
		}
	}()
	var all [][]byte
	for range 10 {
		all = append(all, backup(t, n))
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		r := space(t, open(t, node.Config{Dir: restore(t, b), RuntimeDir: t.TempDir()}))
		first, err1 := r.Get(within(t), "first")
		last, err2 := r.Get(within(t), "zlast")
		if err1 != nil || err2 != nil || string(first.Shown().Data) != string(last.Shown().Data) {
			t.Errorf("%v, %v, and %v, %v", first, err1, last, err2)
		}
	}
}

// TestDamagedBackupChangesNothing: cut anywhere or with any byte changed, it is refused with a reason and leaves nothing behind.
func TestDamagedBackupChangesNothing(t *testing.T) {
	n := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir()})
	mustPut(t, space(t, n), "a", "1")
	whole := backup(t, n)
	parent := t.TempDir()
	try := func(what string, b []byte, want error) {
		t.Helper()
		_, err := node.Restore(within(t), bytes.NewReader(b), node.RestoreOptions{Dir: filepath.Join(parent, "data")})
		if !errors.Is(err, want) || node.ProblemOf(err).Detail == "" {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Fatalf("%s: %v is left", what, left)
		}
	}
	const magic = len("syncline backup 1\n")
	for i := 0; i < len(whole); i += 1 + len(whole)/40 {
		try(fmt.Sprint("cut at ", i), whole[:i], node.ErrBackupBad)
		if i >= magic {
			bad := bytes.Clone(whole)
			bad[i] ^= 4
			try(fmt.Sprint("changed at ", i), bad, node.ErrBackupBad)
		}
	}
	try("longer", append(bytes.Clone(whole), 0), node.ErrBackupBad)
	try("newer", append([]byte("syncline backup 2\n"), whole[magic:]...), node.ErrStoreNewer)
	try("empty", nil, node.ErrBackupBad)
	if len(whole) > 10_000 {
		t.Errorf("%d bytes", len(whole))
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Restore(within(t), bytes.NewReader(whole), node.RestoreOptions{Dir: full}); !errors.Is(err, node.ErrDirNotEmpty) {
		t.Errorf("into a folder that holds something: %v", err)
	}
}

// TestBackupHoldsNoSecrets: neither the device key, nor the key of the space, nor an open invite.
func TestBackupHoldsNoSecrets(t *testing.T) {
	dir := t.TempDir()
	n := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Network: new(nodetest.Hub).New()})
	if _, err := n.Invite(within(t), nil, node.InviteOptions{}); err != nil {
		t.Fatal(err)
	}
	b := backup(t, n)
	seed, err := os.ReadFile(filepath.Join(dir, "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob(filepath.Join(dir, "spaces", "*", "space.json"))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	record, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	key := secretIn(t, record)
	for name, secret := range map[string][]byte{"device key": bytes.TrimSpace(seed), "space key": key} {
		raw := make([]byte, len(secret)/2)
		if _, err := fmt.Sscanf(string(secret), "%x", &raw); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, secret) || bytes.Contains(b, raw) {
			t.Errorf("the backup holds the %s", name)
		}
	}
	if bytes.Contains(b, []byte("/p/")) || bytes.Contains(b, []byte("invite/")) {
		t.Error("the backup holds local records")
	}
}

// secretIn returns the key in the record of a space.
func secretIn(t testing.TB, record []byte) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(record, []byte(`"key": "`))
	key, _, ok2 := bytes.Cut(rest, []byte(`"`))
	if !ok || !ok2 || len(key) != 64 {
		t.Fatalf("no key in %s", record)
	}
	return key
}

// TestABackupThatCouldNotBeRestoredIsRefused, and names the record that is too large for it: nobody finds out when it is needed.
func TestABackupThatCouldNotBeRestoredIsRefused(t *testing.T) {
	ds := mem.New()
	n := open(t, node.Config{Dir: t.TempDir(), Backend: func(string) (datastore.Batching, store.BootToken, error) { return ds, nil, nil }})
	if err := ds.Put(within(t), datastore.RawKey("/d/large"), make([]byte, 64<<20+1)); err != nil {
		t.Fatal(err)
	}
	_, err := n.Backup(within(t), io.Discard)
	if p := node.ProblemOf(err); !errors.Is(err, node.ErrTooLarge) || !strings.Contains(p.Detail, "/d/large") || p.Hint == "" || p.Limit != 64<<20 {
		t.Errorf("%v, %+v", err, p)
	}
}

// TestABackupEndsWithItsContext.
func TestABackupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := open(t, node.Config{}).Backup(ctx, io.Discard); err != context.Canceled {
		t.Errorf("%v, want the end of the context", err)
	}
}
