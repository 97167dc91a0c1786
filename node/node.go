// Package node runs one device: its spaces, the loop that owns each, joining, and the API that Go programs embed.
//
//	n, err := node.Open(ctx, node.Config{Dir: dir, Network: p2p.New(p2p.Config{})})
//	sp, err := n.Space("")
//	_, err = sp.Put(ctx, "hello", node.Text("world"))
//
// # For programs
//
// A [Node] is this device. Its [Space] holds entries, each a path and a value: [Space.Put], [Space.Get], [Space.List], [Space.Tx]; [Of] has them
// as values of a Go type, [Space.Datastore] as a go-datastore. Other devices share a space after [Node.Invite] here and [Node.Join] there. What they
// write is told by [Space.Watch] and [Space.Changes]; [Space.WaitFor] waits until one of them has what is here.
//
// Values that were written without knowledge of each other compete: an [Entry] shows the newest and is a [Conflict] until [Space.Resolve]
// decides, or a [Policy] does, which may call a function of the program ([Node.RegisterMerge]).
//
// An error is a [Problem], for errors.Is with [ErrNotFound] and its like; or it is that of a context, or of a function that was handed in.
// Package nodetest has a network in memory for tests, package api serves a node to curl and to the command peer.
//
// # The core
//
// [Replica] is the deterministic core: crdt, store and gossip tied together as a function of its inputs. [Node] surrounds it
// with what is not: clocks, disks, sockets, and goroutines. Data flows one way: a write becomes an operation in Replica.Step, one
// atomic batch in the store, then gossip, and is acknowledged after the sync that it shares with all who wait. Simulators drive a Replica
// by [Input] and [Output] themselves, or watch one by [StepObserver]; programs need neither.
package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/gossip"
	"syncline/store"
)

// expiryPeriod is how often a node looks for invites whose time is over.
const expiryPeriod = 15 * time.Second

// renamePause keeps two copies that do not know of each other yet from renaming one device in turns.
const renamePause = time.Minute

// A Node is a running device. All methods are safe for concurrent use.
type Node struct {
	cfg     Config
	key     ed25519.PrivateKey
	id      gossip.DeviceID
	name    string
	lock    *os.File // of the data directory, held until all is closed; nil without one
	log     *slog.Logger
	started time.Time
	stop    context.CancelFunc
	ctx     context.Context // ends at Close
	wg      sync.WaitGroup
	refresh chan struct{}
	failed  chan struct{} // holds one while a store has failed that keepStores has not looked at
	online  atomic.Bool   // the network has started

	defaultID atomic.Pointer[gossip.SpaceID]

	entering sync.Mutex   // held while a space takes the place of another, so that joins follow one another; taken before joining
	joining  sync.Mutex   // held while the network is told whether strangers may join; taken before mu
	meeting  sync.RWMutex // held while a space is told which devices come and go, and locked while another takes its place; taken before mu

	closing  sync.Once
	closeErr error

	mu      sync.Mutex // guards the fields below; Space.mu may be taken under it
	spaces  map[gossip.SpaceID]*Space
	invites map[string]*invite
	twin    bool

	mergesMu sync.Mutex // guards merges; nothing is locked under it
	merges   map[string]*mergeFunction
}

// Open starts a device. Close it. ctx bounds the start only. It returns [ErrBadRequest] for a Config that cannot be, and [ErrDirInUse] if
// another node has the directory open; it has then changed nothing there.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Dir != "" {
		dir, err := filepath.Abs(cfg.Dir) // the program may change its working directory
		if err != nil {
			return nil, ErrStore.Because(err)
		}
		cfg.Dir = dir
	}
	n := &Node{cfg: cfg, log: cfg.Logger, started: cfg.Clock(), refresh: make(chan struct{}, 1), failed: make(chan struct{}, 1),
		spaces: map[gossip.SpaceID]*Space{}, invites: map[string]*invite{}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	if err := n.start(ctx); err != nil {
		n.closeSpaces()
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if err := n.openDir(ctx); err != nil {
		return err
	}
	if err := n.identify(); err != nil {
		return err
	}
	if err := n.openSpaces(ctx); err != nil {
		return err
	}
	if err := n.loadInvites(n.spaceList()...); err != nil {
		return err
	}
	if net := n.cfg.Network; net != nil {
		if err := net.Start(ctx, n.key, handler{n}); err != nil {
			return networkProblem(err)
		}
		n.online.Store(true)
		n.wg.Add(1)
		go n.keepAccess()
		n.accessChanged()
		n.updateJoinable()
	}
	n.finishJoins()
	if n.cfg.Observe == nil {
		n.wg.Go(n.keepStores)
	}
	return nil
}

// openDir makes the data directory, and keeps other nodes away from it before anything in it is read or written.
func (n *Node) openDir(ctx context.Context) (err error) {
	if n.cfg.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(n.cfg.Dir, spacesDir), 0o700); err != nil {
		return ErrStore.Because(err).Next("See who may write to " + n.cfg.Dir)
	}
	if n.lock, err = lockDir(ctx, n.cfg.Dir); err != nil {
		return err
	}
	if err := clearParts(n.cfg.Dir, keyFile, deviceFile, defaultFile); err != nil {
		n.log.Warn("a file that was not written to its end stays", "err", err) // it is only in the way of a person
	}
	return nil
}

// identify loads or makes the device's key and name.
func (n *Node) identify() (err error) {
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	n.name = cmp.Or(n.cfg.Name, host, "device")
	var rec deviceRecord
	if n.cfg.Dir == "" {
		_, n.key, err = ed25519.GenerateKey(n.cfg.Rand)
	} else if rec, err = readDevice(n.cfg.Dir); err == nil {
		n.key, err = loadKey(n.cfg.Dir, n.cfg.Rand, rec.Name != "", n.cfg.NewIdentity)
	}
	if err != nil {
		return err
	}
	n.id = gossip.DeviceID(n.key.Public().(ed25519.PublicKey))
	n.name = cmp.Or(n.cfg.Name, rec.Name, n.name)
	if n.cfg.Dir == "" || n.name == rec.Name {
		return nil
	}
	if err := writeJSON(filepath.Join(n.cfg.Dir, deviceFile), deviceRecord{Name: n.name}); err != nil {
		return storeProblem(err)
	}
	return nil
}

// openSpaces opens every space of the data directory, or founds the first.
func (n *Node) openSpaces(ctx context.Context) error {
	var dirs []string
	if n.cfg.Dir != "" {
		entries, err := os.ReadDir(filepath.Join(n.cfg.Dir, spacesDir))
		if err != nil {
			return ErrStore.Because(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(n.cfg.Dir, spacesDir, e.Name()))
			}
		}
	}
	lost := ""            // a folder with a database and no record
	var unopened *Problem // why one whose record is there is left alone
	for _, dir := range dirs {
		if err := clearParts(dir, spaceFile); err != nil {
			n.log.Warn("a file that was not written to its end stays", "err", err)
		}
		rec, err := readSpace(dir)
		if errors.Is(err, fs.ErrNotExist) { // it was being made, or dropped, when the process ended
			if _, err := os.Stat(filepath.Join(dir, dbDir)); err == nil {
				lost = dir
				n.log.Warn("a folder of a space lacks its record and is not opened", "dir", dir, "record", spaceFile)
			}
			continue
		} else if err != nil {
			return err
		}
		if named := filepath.Join(n.cfg.Dir, spacesDir, rec.ID); dir != named { // a copy, perhaps an older one
			n.log.Warn("a folder of a space that is not named after it is not opened", "dir", dir, "space", rec.ID)
			unopened = ErrStore.With("%s holds space %s and does not have its name", dir, rec.ID).Next("Rename it:  mv " + dir + " " + named)
			continue
		}
		s, err := n.openSpaceDir(rec, dir)
		if err != nil {
			return err
		}
		n.spaces[s.id] = s
		if s.unfounded() { // the process ended before its first records were on disk
			if err := s.found(ctx); err != nil {
				return err
			}
		}
	}
	if len(n.spaces) == 0 && unopened != nil {
		return unopened
	}
	if len(n.spaces) == 0 && lost != "" {
		return ErrStore.With("%s is missing, and nothing else says what the entries beside it belong to", filepath.Join(lost, spaceFile)).
			Next("Bring the file back from a copy of the folder, or move " + lost + " away to begin without what it holds.")
	}
	if len(n.spaces) == 0 {
		rec, err := foundSpace(n.key, "home", n.cfg.Rand, n.cfg.Clock())
		if err != nil {
			return err
		}
		s, err := n.addSpace(rec)
		if err != nil {
			return err
		}
		if err := s.found(ctx); err != nil {
			return err
		}
		if err := n.setDefault(s.id); err != nil {
			return storeProblem(err)
		}
		return nil
	}
	n.loadDefault()
	if _, err := n.rename(ctx); errors.Is(err, ErrDiskFull) {
		n.log.Warn("the members are told the new name when the disk has room", "name", n.name, "err", err)
	} else if err != nil {
		return err
	}
	return nil
}

// addSpace makes the folder of a space and opens it.
func (n *Node) addSpace(rec spaceRecord) (*Space, error) {
	dir := ""
	if n.cfg.Dir != "" {
		dir = filepath.Join(n.cfg.Dir, spacesDir, rec.ID)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, ErrStore.Because(err)
		}
		if err := writeJSON(filepath.Join(dir, spaceFile), rec); err != nil {
			return nil, storeProblem(err)
		}
	}
	s, err := n.openSpaceDir(rec, dir)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.spaces[s.id] = s
	n.mu.Unlock()
	return s, nil
}

func (n *Node) openSpaceDir(rec spaceRecord, dir string) (*Space, error) {
	ds, token, err := n.openBackend(dir)
	if err != nil {
		return nil, n.notOpened(dir, err)
	}
	s, err := openSpace(n, rec, dir, ds, token)
	if err != nil {
		ds.Close()
		return nil, n.notOpened(dir, err)
	}
	return s, nil
}

// notOpened adds to the error of a store that does not open, and of which nothing better is known, how to do without it.
func (n *Node) notOpened(dir string, err error) error {
	var p *Problem
	if !errors.As(err, &p) || !errors.Is(p, ErrStore) || dir == "" || n.cfg.Backend != nil {
		return err
	}
	return p.Next(fmt.Sprintf("If the disk has damaged it, other devices have what was synced. Move the folder %s away and start again: the device keeps its name and key, and is empty. "+
		"Then have it invited once more:  peer invite  on another device,  peer join TICKET  here. If there is no other device, bring a backup back.", filepath.Join(dir, dbDir)))
}

// openBackend opens the datastore of the space in dir, and finds its boot token.
func (n *Node) openBackend(dir string) (datastore.Batching, store.BootToken, error) {
	spec, db := n.cfg.Store, filepath.Join(dir, dbDir)
	var token store.BootToken
	switch {
	case dir == "":
		spec = "mem:"
	case n.cfg.Backend != nil:
		ds, token, err := n.cfg.Backend(dir)
		if err != nil {
			return nil, nil, openProblem(err)
		}
		return ds, token, nil
	case spec != "mem:":
		var err error
		if token, err = n.bootToken(db); err != nil {
			return nil, nil, err
		}
	}
	if spec == "" {
		spec = cmp.Or(store.BackendOf(db), n.backendBeside())
	}
	ds, err := store.OpenBackend(spec, db)
	if err != nil {
		return nil, nil, openProblem(err)
	}
	return ds, token, nil
}

// backendBeside returns the backend of the spaces that are there, for a new one, or nothing.
func (n *Node) backendBeside() string {
	spaces, _ := os.ReadDir(filepath.Join(n.cfg.Dir, spacesDir)) // sorted
	for _, s := range spaces {
		if spec := store.BackendOf(filepath.Join(n.cfg.Dir, spacesDir, s.Name(), dbDir)); spec != "" {
			return spec
		}
	}
	return ""
}

// rename tells the members what this device is called now, where it is a member under another name. It reports whether it had to.
func (n *Node) rename(ctx context.Context) (bool, error) {
	renamed := false
	for _, s := range n.spaceList() {
		m, ok := s.roster.Load().members[n.id]
		if !ok || m.Name == n.name || m.Name == "" { // the last: its record is damaged, and takes no write before it is repaired
			continue
		}
		m.Name, renamed = n.name, true
		if _, err := s.write(ctx, Write{Ops: []WriteOp{m.op()}}); err != nil {
			return renamed, err
		}
	}
	return renamed, nil
}

func (n *Node) loadDefault() {
	ids := n.spaceList()
	n.defaultID.Store(&ids[0].id)
	if n.cfg.Dir == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(n.cfg.Dir, defaultFile))
	if err != nil {
		return
	}
	for _, s := range ids {
		if s.id.String() == strings.TrimSpace(string(text)) {
			n.defaultID.Store(&s.id)
		}
	}
}

func (n *Node) setDefault(id gossip.SpaceID) error {
	if n.cfg.Dir != "" {
		if err := writeFile(filepath.Join(n.cfg.Dir, defaultFile), []byte(id.String()+"\n")); err != nil {
			return err
		}
	}
	n.defaultID.Store(&id)
	return nil
}

func (n *Node) isDefault(id gossip.SpaceID) bool {
	d := n.defaultID.Load()
	return d != nil && *d == id
}

// ID returns the id of this device, and Name what it is called.
func (n *Node) ID() gossip.DeviceID { return n.id }

// Name returns what this device is called.
func (n *Node) Name() string { return n.name }

// Space returns the space with a name or an id; "" is the default space, which is another one after [Node.Join]. It returns [ErrNoSpace]
// if there is none.
func (n *Node) Space(name string) (*Space, error) {
	for _, s := range n.spaceList() {
		if name == "" && n.isDefault(s.id) || s.id.String() == name || s.Info().Name == name {
			return s, nil
		}
	}
	return nil, ErrNoSpace.With("this device has no space %q", name)
}

// Spaces returns the spaces of this device, by name.
func (n *Node) Spaces() []SpaceInfo {
	var out []SpaceInfo
	for _, s := range n.spaceList() {
		out = append(out, s.Info())
	}
	slices.SortFunc(out, func(a, b SpaceInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return out
}

// spaceList returns the spaces in the order of their ids.
func (n *Node) spaceList() []*Space {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*Space, 0, len(n.spaces))
	for _, s := range n.spaces {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Space) int { return cmp.Compare(a.id.String(), b.id.String()) })
	return out
}

// AddAddress adds an address of a member by hand, for networks where devices do not find each other by themselves.
func (n *Node) AddAddress(ctx context.Context, device, multiaddr string) error {
	if err := n.ended(); err != nil {
		return err
	}
	if n.cfg.Network == nil {
		return ErrLocalOnly.With("it was started without a network")
	}
	var last *Problem
	for _, s := range n.spaceList() {
		d, p := s.roster.Load().find(device)
		if p != nil {
			last = p
			continue
		}
		if d == n.id {
			return ErrBadRequest.With("%s is this device", device)
		}
		if err := n.cfg.Network.AddAddr(d, multiaddr); err != nil {
			return ErrBadRequest.With("The address “%s” cannot be used: %v", multiaddr, err).Because(err).Next("An address looks like /ip4/192.168.1.23/tcp/4001 or /ip4/192.168.1.23/udp/4001/quic-v1.")
		}
		return nil
	}
	return last
}

// Close ends the device: it answers what is under way, writes everything to disk, and returns when nothing of it runs any more.
// It does not wait for the network, nor for iterations that are open: those end. Every call returns then, with the same error.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closeErr = n.shut() })
	return n.closeErr
}

// ended returns ErrClosed once Close has begun.
func (n *Node) ended() error {
	if n.ctx.Err() != nil {
		return ErrClosed
	}
	return nil
}

func (n *Node) shut() error {
	n.stop()
	for _, s := range n.spaceList() {
		s.touch(nil)
	}
	var err error
	if n.cfg.Network != nil {
		err = n.cfg.Network.Close()
	}
	n.wg.Wait()
	n.entering.Lock() // a join that is under way ends, and leaves no space open
	defer n.entering.Unlock()
	if e := n.closeSpaces(); e != nil {
		err = e
	}
	return err
}

// closeSpaces closes the spaces, and then lets others have the directory.
func (n *Node) closeSpaces() error {
	n.stop()
	var first error
	for _, s := range n.spaceList() {
		if err := s.close(); err != nil && first == nil {
			first = err
		}
	}
	if n.lock != nil {
		n.lock.Close()
	}
	return first
}

// accessChanged lets the network know of new spaces or members.
func (n *Node) accessChanged() {
	select {
	case n.refresh <- struct{}{}:
	default:
	}
}

// keepAccess tells the network about spaces and members whenever they change. It is a goroutine of its own because the network
// may report closed connections while it is told.
func (n *Node) keepAccess() {
	defer n.wg.Done()
	renamed := time.Now().Add(-renamePause)
	expiry := time.NewTicker(expiryPeriod)
	defer expiry.Stop()
	for {
		select {
		case <-n.refresh:
		case <-expiry.C:
			n.expireInvites()
			continue
		case <-n.ctx.Done():
			return
		}
		n.mu.Lock()
		twin := n.twin
		n.mu.Unlock()
		var access []gossip.Access
		for _, s := range n.spaceList() {
			if !twin && s.ended() == nil {
				access = append(access, s.access())
			}
		}
		n.cfg.Network.SetSpaces(access)
		if now := time.Now(); !twin && now.Sub(renamed) > renamePause {
			// A copy of this device may have told the members another name for it.
			done, err := n.rename(n.ctx)
			if err != nil {
				n.log.Debug("rename", "err", err)
			}
			if done {
				renamed = now
			}
		}
	}
}

func (n *Node) warningList() []Warning {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.twin {
		return nil
	}
	return []Warning{{Code: ErrTwin.Code, Text: ErrTwin.Title + "; this device has stopped syncing", Hint: ErrTwin.Hint}}
}
