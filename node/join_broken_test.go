package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/nodetest"
	"syncline/store"
	"syncline/store/mem"
)

// block puts a folder in the place of a file, so that the file can be neither replaced nor removed, until the function that it returns.
func block(t *testing.T, file string) (unblock func()) {
	t.Helper()
	was, err := os.ReadFile(file)
	if err == nil {
		err = errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "x"), 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, was, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func ticket(t *testing.T, n *node.Node) string {
	t.Helper()
	inv, err := n.Invite(within(t), nil, node.InviteOptions{AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	return inv.Ticket
}

func spaceRecordOf(dir string, s *node.Space) string {
	return filepath.Join(dir, "spaces", s.Info().ID.String(), "space.json")
}

// TestAJoinThatCannotKeepTheKeyChangesNothing: a restored device has its space while the disk refuses the space's key, and joins with
// the same ticket when it does not.
func TestAJoinThatCannotKeepTheKeyChangesNothing(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Name: "laptop", Network: hub.New()})
	mustPut(t, space(t, a), "a", "1")
	dir := restore(t, backup(t, a))
	r := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Name: "restored", Network: hub.New()})
	unblock := block(t, spaceRecordOf(dir, space(t, r)))
	with := ticket(t, a)
	if _, err := r.Join(within(t), with); !errors.Is(err, node.ErrStore) {
		t.Fatalf("join: %v, want ErrStore", err)
	}
	mustPut(t, space(t, r), "b", "2")
	unblock()
	if _, err := r.Join(within(t), with); err != nil {
		t.Fatal(err)
	}
	await(t, space(t, a), "b", "2")
}

// TestASpaceThatDoesNotOpenAgainSaysWhy: it is not forgotten, and opened when that is possible.
func TestASpaceThatDoesNotOpenAgainSaysWhy(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Name: "laptop", Network: hub.New()})
	mustPut(t, space(t, a), "a", "1")
	dir := restore(t, backup(t, a))
	broken := errors.New("the disk is gone")
	var fail atomic.Pointer[error]
	fail.Store(new(error))
	stores := map[string]*mem.Datastore{}
	backend := func(place string) (datastore.Batching, store.BootToken, error) {
		if stores[place] == nil {
			stores[place] = mem.New()
		}
		return stores[place], nil, *fail.Load()
	}
	r := open(t, node.Config{Dir: dir, Name: "restored", Network: hub.New(), Backend: backend})
	fail.Store(&broken)
	if _, err := r.Join(within(t), ticket(t, a)); !errors.Is(err, node.ErrStore) {
		t.Fatalf("join: %v, want ErrStore", err)
	}
	s, err := r.Space("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Status(within(t)); !errors.Is(err, node.ErrStore) || node.ProblemOf(err).Hint == "" {
		t.Errorf("status: %v, want why the space is closed, and the way out", err)
	}
	fail.Store(new(error))
	for _, err := space(t, r).Put(within(t), "b", node.Text("2")); err != nil; _, err = space(t, r).Put(within(t), "b", node.Text("2")) {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.Status(within(t)); !errors.Is(err, node.ErrSpaceLeft) {
		t.Errorf("the handle from before: %v", err)
	}
}

// TestASpaceThatCannotBeRemovedIsKept: the join is done, and the space that it took the place of is there.
func TestASpaceThatCannotBeRemovedIsKept(t *testing.T) {
	var hub nodetest.Hub
	a := open(t, node.Config{Name: "laptop", Network: hub.New()})
	dir := t.TempDir()
	b := open(t, node.Config{Dir: dir, Name: "desktop", Network: hub.New()})
	was := space(t, b)
	defer block(t, spaceRecordOf(dir, was))()
	res, err := b.Join(within(t), ticket(t, a))
	if err != nil || res.Kept == nil || len(b.Spaces()) != 2 || res.Kept.Name == res.Space.Name {
		t.Fatalf("join: %+v, %v, spaces %v", res, err, b.Spaces())
	}
	kept, err := b.Space(was.Info().ID.String())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, kept, "still", "here")
	mustPut(t, space(t, b), "b", "2")
	await(t, space(t, a), "b", "2")
}

// TestAJoinThatWasCutShortIsFinished by the next join with its ticket, or by the next start.
func TestAJoinThatWasCutShortIsFinished(t *testing.T) {
	for _, restart := range []bool{false, true} {
		var hub nodetest.Hub
		a := open(t, node.Config{Name: "laptop", Network: hub.New()})
		dir := t.TempDir()
		b := open(t, node.Config{Dir: dir, Name: "desktop", Network: hub.New()})
		unblock := block(t, filepath.Join(dir, "default"))
		with := ticket(t, a)
		if _, err := b.Join(within(t), with); !errors.Is(err, node.ErrStore) {
			t.Fatalf("join: %v, want ErrStore", err)
		}
		if space(t, b).Info().ID == space(t, a).Info().ID {
			t.Error("the space is the default, and would not be after a start")
		}
		unblock()
		if restart {
			b.Close()
			b = open(t, node.Config{Dir: dir, Network: hub.New()})
		} else if res, err := b.Join(within(t), with); err != nil || res.Inviter.Name != "laptop" || res.Kept != nil {
			t.Fatalf("join: %+v, %v", res, err)
		}
		if len(b.Spaces()) != 1 {
			t.Errorf("restart %v: spaces %+v, want the joined one", restart, b.Spaces())
		}
		mustPut(t, space(t, b), "b", "2")
		await(t, space(t, a), "b", "2")
		if _, err := b.Join(within(t), ticket(t, a)); !errors.Is(err, node.ErrMember) {
			t.Errorf("restart %v: another join: %v, want ErrMember", restart, err)
		}
	}
}

// TestJoinsAtOnceFollowOneAnother: each succeeds, none is lost, and every space has a name of its own.
func TestJoinsAtOnceFollowOneAnother(t *testing.T) {
	for range 20 {
		var hub nodetest.Hub
		b := open(t, node.Config{Name: "desktop", Network: hub.New()})
		var all sync.WaitGroup
		for _, name := range []string{"laptop", "phone", "tablet"} {
			with := ticket(t, open(t, node.Config{Name: name, Network: hub.New()}))
			all.Go(func() {
				if _, err := b.Join(within(t), with); err != nil {
					t.Errorf("join %s: %v", name, err)
				}
			})
		}
		all.Wait()
		names := map[string]bool{}
		for _, s := range b.Spaces() {
			names[s.Name] = true
		}
		if len(b.Spaces()) != 3 || len(names) != 3 {
			t.Errorf("spaces %+v, want the three that were joined", b.Spaces())
		}
	}
}

// TestDevicesThatInviteEachOtherAtOnce each join the other's space, or are told that it is gone; they share one in the end.
func TestDevicesThatInviteEachOtherAtOnce(t *testing.T) {
	for range 20 {
		var hub nodetest.Hub
		a := open(t, node.Config{Name: "laptop", Network: hub.New()})
		b := open(t, node.Config{Name: "desktop", Network: hub.New()})
		toA, toB := ticket(t, a), ticket(t, b)
		var errA, errB error
		var both sync.WaitGroup
		both.Go(func() { _, errA = a.Join(within(t), toB) })
		both.Go(func() { _, errB = b.Join(within(t), toA) })
		both.Wait()
		if errA != nil && errB != nil {
			t.Fatalf("neither joined: %v; %v", errA, errB)
		}
		from, to := a, b
		if errA != nil {
			from, to = b, a
		}
		mustPut(t, space(t, from), "hello", "world")
		s, err := to.Space(space(t, from).Info().ID.String())
		if err != nil {
			t.Fatalf("%s lacks the space that %s joined: %v", to.Name(), from.Name(), err)
		}
		await(t, s, "hello", "world")
	}
}

// TestAJoinOnAFullDiskIsRepeated with the same ticket, at once or after a start: the space was made, and its members could not be kept.
func TestAJoinOnAFullDiskIsRepeated(t *testing.T) {
	for _, restart := range []bool{false, true} {
		var hub nodetest.Hub
		a := open(t, node.Config{Name: "laptop", Network: hub.New()})
		b := newPatient(t, &hub, "desktop")
		joined := filepath.Join(b.dir, "spaces", space(t, a).Info().ID.String())
		full := mem.New()
		full.Inject(mem.DiskFull)
		b.stores[joined] = full
		with := ticket(t, a)
		if _, err := b.n.Join(within(t), with); !errors.Is(err, node.ErrDiskFull) {
			t.Fatalf("join: %v, want ErrDiskFull", err)
		}
		mustPut(t, space(t, b.n), "still", "here")
		full.Inject(nil)
		if restart {
			b.n.Close()
			b.n = open(t, node.Config{Dir: b.dir, Network: hub.New(), Backend: b.backend})
		}
		res, err := b.n.Join(within(t), with)
		if err != nil || res.Kept == nil || res.Kept.Name == res.Space.Name {
			t.Errorf("restart %v: join: %+v, %v; want the space that is kept under another name", restart, res, err)
			continue
		}
		mustPut(t, space(t, b.n), "b", "2")
		await(t, space(t, a), "b", "2")
	}
}
