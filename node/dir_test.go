package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
)

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, node.Config{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "device.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := node.Open(within(t), node.Config{Dir: dir})
	if !errors.Is(err, node.ErrKeyExposed) || !strings.Contains(node.ProblemOf(err).Hint, "chmod 600") {
		t.Errorf("open: %v, want ErrKeyExposed with the way out", err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, node.Config{Dir: dir})
}

func TestADamagedKeyIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "device.key"), []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := node.Open(within(t), node.Config{Dir: dir})
	if !errors.Is(err, node.ErrStore) || !strings.Contains(err.Error(), "device.key") {
		t.Errorf("open: %v, want an error that names the file", err)
	}
}

// TestACopyOfASpaceBesideItIsLeftAlone: the space is the folder that has its name, and not what somebody put beside it.
func TestACopyOfASpaceBesideItIsLeftAlone(t *testing.T) {
	cfg := node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir()}
	write := func(value string) {
		t.Helper()
		n := open(t, cfg)
		mustPut(t, space(t, n), "a", value)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	found, err := filepath.Glob(filepath.Join(cfg.Dir, "spaces", "*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	earlier := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(earlier, os.DirFS(found[0])); err != nil {
		t.Fatal(err)
	}
	write("2")
	if err := os.CopyFS(found[0]+".bak", os.DirFS(earlier)); err != nil {
		t.Fatal(err)
	}
	n := open(t, cfg)
	if e, err := space(t, n).Get(within(t), "a"); err != nil || string(e.Shown().Data) != "2" {
		t.Errorf("a = %q, %v; the copy beside the space has taken its place", e.Shown().Data, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(found[0]); err != nil {
		t.Fatal(err)
	}
	_, err = node.Open(within(t), cfg)
	if p := node.ProblemOf(err); !errors.Is(err, node.ErrStore) || !strings.Contains(p.Hint, found[0]) {
		t.Errorf("only the copy is there: %v, hint %q; want to be told how it is called", err, p.Hint)
	}
}

// TestAKeyThatCannotBeReadIsNamed, as one that another user made: it is no mistake inside the program.
func TestAKeyThatCannotBeReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "device.key"), 0o700); err != nil { // root may read every file, and no folder
		t.Fatal(err)
	}
	_, err := node.Open(within(t), node.Config{Dir: dir})
	if !errors.Is(err, node.ErrStore) || !strings.Contains(err.Error(), "device.key") || node.ProblemOf(err).Hint == "" {
		t.Errorf("open: %v, want an error that names the file, and what to do", err)
	}
}

func TestADirectoryIsUsedByOneNodeAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, node.Config{Dir: dir})
	if _, err := node.Open(within(t), node.Config{Dir: dir}); !errors.Is(err, node.ErrDirInUse) {
		t.Errorf("second open: %v, want ErrDirInUse", err)
	}
}

// copyDir copies a directory as a backup program does.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := filepath.Walk(to, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return to
}

// A device whose data directory is replaced by an older copy writes on; what it had written after the copy comes back from the
// other device, and nothing that either acknowledged is lost.
func TestARestoredBackupLosesNothingThatAnotherDeviceHolds(t *testing.T) {
	hub := new(nodetest.Hub)
	ctx := within(t)
	dir := filepath.Join(t.TempDir(), "data")
	a := open(t, node.Config{Name: "laptop", Dir: dir, Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	join(t, a, b)
	if _, err := space(t, a).Put(ctx, "before", node.Text("backup")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	backup := copyDir(t, dir)
	a = open(t, node.Config{Dir: dir, Network: hub.New()})
	for _, path := range []string{"after/1", "after/2", "after/3"} {
		if _, err := space(t, a).Put(ctx, path, node.Text("after the backup")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := space(t, a).WaitSync(ctx, node.SyncOptions{Device: "desktop"}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, dir); err != nil {
		t.Fatal(err)
	}

	hub.Cut(b.ID())
	a = open(t, node.Config{Dir: dir, Network: hub.New()})
	for _, path := range []string{"new/1", "new/2", "new/3", "new/4"} {
		if _, err := space(t, a).Put(ctx, path, node.Text("after the restore")); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	if _, err := space(t, a).WaitSync(ctx, node.SyncOptions{Device: "desktop"}); err != nil {
		t.Fatal(err)
	}
	if _, err := space(t, b).WaitSync(ctx, node.SyncOptions{Device: "laptop"}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node.Node{a, b} {
		for _, path := range []string{"before", "after/1", "after/2", "after/3", "new/1", "new/2", "new/3", "new/4"} {
			if _, err := space(t, n).Get(ctx, path); err != nil {
				t.Errorf("%s: %v", n.Name(), err)
			}
		}
		st, err := space(t, n).Status(ctx)
		if err != nil || len(st.Warnings) > 0 {
			t.Errorf("%s: warnings %v, %v", n.Name(), st.Warnings, err)
		}
	}
}

// A copy that is given a new identity keeps what it holds, is no member until it is invited, and then takes part.
func TestACopyWithANewIdentityMustBeInvited(t *testing.T) {
	hub := new(nodetest.Hub)
	ctx := within(t)
	dir := filepath.Join(t.TempDir(), "data")
	a := open(t, node.Config{Name: "laptop", Dir: dir, Network: hub.New()})
	if _, err := space(t, a).Put(ctx, "shared", node.Text("1")); err != nil {
		t.Fatal(err)
	}
	a.Close()
	twin := copyDir(t, dir)
	a = open(t, node.Config{Dir: dir, Network: hub.New()})
	b := open(t, node.Config{Name: "copy", Dir: twin, Network: hub.New(), NewIdentity: true})
	if a.ID() == b.ID() {
		t.Fatal("the copy has the identity of the original")
	}
	if _, err := b.Invite(ctx, nil, node.InviteOptions{}); !errors.Is(err, node.ErrForbidden) {
		t.Errorf("the copy invites: %v, want ErrForbidden", err)
	}
	if _, err := space(t, b).Put(ctx, "from/copy", node.Text("2")); err != nil {
		t.Fatal(err)
	}
	join(t, a, b)
	await(t, space(t, a), "from/copy", "2")
	if e, err := space(t, a).Get(ctx, "from/copy"); err != nil || e.Shown().Device.Name != "copy" {
		t.Errorf("the value is by %+v, %v", e.Values, err)
	}
	if _, err := space(t, a).Put(ctx, "from/laptop", node.Text("3")); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, b), "from/laptop", "3")
}

func TestConcurrentWritesOfKindLWWAreSettledAtOnceAndReported(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	ctx := within(t)
	hub.Cut(a.ID())
	for n, v := range map[*node.Node]string{a: "1", b: "2"} {
		if _, err := space(t, n).Put(ctx, "mode", node.Text(v), node.As(crdt.LWW)); err != nil {
			t.Fatal(err)
		}
	}
	hub.Heal()
	var shown []string
	for _, n := range []*node.Node{a, b} {
		if _, err := space(t, n).WaitSync(ctx, node.SyncOptions{}); err != nil {
			t.Fatal(err)
		}
		e, err := space(t, n).Get(ctx, "mode")
		if err != nil {
			t.Fatal(err)
		}
		if e.Conflict != 0 || e.Overruled != 1 || len(e.Values) != 2 {
			t.Errorf("%s: conflict %d, overruled %d, %d values; want 0, 1, 2", n.Name(), e.Conflict, e.Overruled, len(e.Values))
		}
		shown = append(shown, string(e.Shown().Data))
	}
	if shown[0] != shown[1] {
		t.Errorf("the devices show %q and %q", shown[0], shown[1])
	}
	if _, err := space(t, a).Put(ctx, "mode", node.Text("3")); err != nil {
		t.Fatal(err)
	}
	if e, err := space(t, a).Get(ctx, "mode"); err != nil || len(e.Values) != 1 || e.Kind != crdt.LWW {
		t.Errorf("after another write: %d values of kind %v, %v; want one of lww", len(e.Values), e.Kind, err)
	}
}

func TestPathsAndValuesThatCannotBeStoredAreRefused(t *testing.T) {
	sp := space(t, open(t, node.Config{}))
	ctx := within(t)
	for _, path := range []string{"", "/", "/a", "a/", "a//b", ".", "a/../b", "a/.", "tab\there", "\x00", "a\u0301", "\xff", strings.Repeat("x", 1025)} {
		if _, err := sp.Put(ctx, path, node.Text("x")); !errors.Is(err, node.ErrBadPath) {
			t.Errorf("put %q: %v, want ErrBadPath", path, err)
		}
		if _, err := sp.Get(ctx, path); !errors.Is(err, node.ErrBadPath) {
			t.Errorf("get %q: %v, want ErrBadPath", path, err)
		}
	}
	if _, err := sp.Put(ctx, strings.Repeat("x", 1024), node.Bytes(make([]byte, node.ValueBytesMax))); err != nil {
		t.Errorf("a path and a value of the greatest size: %v", err)
	}
	_, err := sp.Put(ctx, "big", node.Bytes(make([]byte, node.ValueBytesMax+1)))
	if p := node.ProblemOf(err); !errors.Is(err, node.ErrTooLarge) || p.Limit != node.ValueBytesMax || p.Status != 413 {
		t.Errorf("a value above the limit: %+v, want 413 with the limit", p)
	}
	if _, err := sp.Tx(ctx, func(tx *node.Tx) error {
		tx.Put("fine", node.Text("1"))
		tx.Put("bad//path", node.Text("2"))
		return nil
	}); node.ProblemOf(err).Index != 2 {
		t.Errorf("a transaction with a bad second path: %v, want index 2", err)
	}
	if _, err := sp.Get(ctx, "fine"); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("half a transaction was written: %v", err)
	}
}

// A first start that ends before the founding records are on disk is completed by the next.
func TestAnInterruptedFirstStartIsCompletedByTheNext(t *testing.T) {
	dir := t.TempDir()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if n, err := node.Open(ended, node.Config{Dir: dir}); err == nil {
		n.Close()
		t.Skip("the first start was quicker than its end")
	}
	hub := new(nodetest.Hub)
	a := open(t, node.Config{Dir: dir, Name: "laptop", Network: hub.New()})
	join(t, a, open(t, node.Config{Name: "desktop", Network: hub.New()}))
}

// An invite is good after a restart of the device that made it.
func TestAnInviteOutlivesARestart(t *testing.T) {
	hub := new(nodetest.Hub)
	dir := t.TempDir()
	a := open(t, node.Config{Dir: dir, Name: "laptop", Network: hub.New()})
	inv, err := a.Invite(within(t), nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	open(t, node.Config{Dir: dir, Network: hub.New()})
	b := open(t, node.Config{Name: "desktop", Network: hub.New()})
	if _, err := b.Join(within(t), inv.Ticket); err != nil {
		t.Error(err)
	}
}

// TestASpaceStaysWithItsBackend: a node on LevelDB finds its entries again, and no other backend touches them.
func TestASpaceStaysWithItsBackend(t *testing.T) {
	cfg := node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Store: "leveldb:"}
	n := open(t, cfg)
	if _, err := space(t, n).Put(within(t), "hello", node.Text("world")); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.Store = "pebble:"
	if n, err := node.Open(within(t), other); err == nil {
		n.Close()
		t.Fatal("pebble opened a directory of LevelDB")
	} else if !errors.Is(err, node.ErrStoreOther) {
		t.Error(err)
	}
	// Who does not name it gets what the folder holds, also for a space that is joined.
	var hub nodetest.Hub
	cfg.Store, cfg.Network = "", hub.New()
	n = open(t, cfg)
	if e, err := space(t, n).Get(within(t), "hello"); err != nil || string(e.Shown().Data) != "world" {
		t.Errorf("got %v, %v", e, err)
	}
	join(t, open(t, node.Config{Network: hub.New()}), n)
	dbs, _ := filepath.Glob(filepath.Join(cfg.Dir, "spaces", "*", "db"))
	for _, db := range dbs {
		if held := store.BackendOf(db); held != "leveldb:" {
			t.Errorf("%s holds %q", db, held)
		}
	}
	if len(dbs) == 0 {
		t.Error("there is no space")
	}
}

// TestFilesThatWereCutShortAreRemoved: what a kill left of a file that was being replaced goes at the next start, and nothing else does.
func TestFilesThatWereCutShortAreRemoved(t *testing.T) {
	dir := t.TempDir()
	n := open(t, node.Config{Dir: dir})
	inSpace := filepath.Dir(spaceRecordOf(dir, space(t, n)))
	n.Close()
	parts := []string{filepath.Join(dir, ".device.key.1234567"), filepath.Join(dir, ".device.json.1"), filepath.Join(dir, ".default.22"), filepath.Join(inSpace, ".space.json.333")}
	others := []string{filepath.Join(dir, ".device.key.mine"), filepath.Join(dir, ".default."), filepath.Join(dir, "device.key.replaced"), filepath.Join(inSpace, ".other.1")}
	for _, name := range append(parts, others...) {
		if err := os.WriteFile(name, []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, node.Config{Dir: dir})
	for _, name := range parts {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for _, name := range others {
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestADirStaysWhereItWas: a relative one is that of the working directory in which the node was opened, also after that has changed.
func TestADirStaysWhereItWas(t *testing.T) {
	t.Chdir(t.TempDir())
	hub := new(nodetest.Hub)
	n := open(t, node.Config{Dir: "data", RuntimeDir: t.TempDir(), Name: "laptop", Network: hub.New()})
	want, err := filepath.Abs("data")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	join(t, open(t, node.Config{Name: "desktop", Network: hub.New()}), n)
	if st, err := space(t, n).Status(within(t)); err != nil || st.Dir != want {
		t.Errorf("the directory is %q, %v, want %q", st.Dir, err, want)
	}
	if files, err := os.ReadDir(elsewhere); err != nil || len(files) > 0 {
		t.Errorf("in the other directory are %v, %v", files, err)
	}
}
