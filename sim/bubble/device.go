package bubble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store"
	"syncline/store/mem"
)

// A device is one machine with its data directory, whose files are real ones, and its stores, which are in memory.
type device struct {
	w     *world
	index int
	dir   string
	token store.MemoryToken
	skew  atomic.Int64 // the error of its clock, in milliseconds

	// The world's mutex guards what follows.
	id     gossip.DeviceID           // zero before the first start
	stores map[string]*mem.Datastore // by the name of their space's folder
	backup *mem.Datastore
	full   bool
	// bad are the keys of damaged records, as the oracle knows them; repairing says that somebody repairs them.
	bad       []string
	repairing bool
	// life tells one run of the device from the next, and from what is left of the last one after it lost power.
	life int
	// up says that the device runs and is a member; away, that it was a member and is started again.
	up    bool
	node  *node.Node
	space *node.Space
	port  *port
	disk  *disk
	// What follows is what the observer knows of this life.
	started  bool
	how      oracle.Start
	view     node.Committed
	stepping bool
	gossip   bool // the step is about gossip and nothing else
	steps    int
	current  *oracle.Attempt
	attempts map[uint64]*oracle.Attempt // by tag
	merges   map[node.Merge]*oracle.Merge
	gone     chan struct{} // closed when what is left of the last life has ended
}

// ip is the device's address, on a private network.
func (d *device) ip() net.IP { return net.IPv4(10, 7, byte(d.index>>8), byte(d.index)).To4() }

func (d *device) addr() string { return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", d.ip(), udpPort) }

// clock is what the device's clock shows. Centuries are added in two halves, for a Duration does not hold three of them.
func (d *device) clock() time.Time {
	off := d.skew.Load() + d.w.wall
	return time.Now().Add(time.Duration(off/2) * time.Millisecond).Add(time.Duration(off-off/2) * time.Millisecond)
}

// name is what people call the device.
func (d *device) name() string {
	if n := d.w.s.Devices[d.index].Name; n != "" {
		return n
	}
	return fmt.Sprintf("device-%d", d.index)
}

// A lockedReader makes random bytes for several goroutines.
type lockedReader struct {
	mu sync.Mutex // guards r
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// random is where keys, ids and jitter of one life come from.
func (d *device) random(life int) io.Reader {
	var seed [32]byte
	for i := range 4 {
		f := fateOf(d.w.s.Seed, fateKeys, uint64(d.index), uint64(life), uint64(i))
		for k := range 8 {
			seed[8*i+k] = byte(f >> (8 * k))
		}
	}
	return &lockedReader{r: rand.NewChaCha8(seed)}
}

// open starts the node. It waits for what is left of the last life to end.
func (d *device) open(how oracle.Start, newIdentity bool) error {
	w := d.w
	w.mu.Lock()
	gone := d.gone
	w.mu.Unlock()
	if gone != nil {
		<-gone
	}
	w.mu.Lock()
	d.life++
	life := d.life
	d.started, d.how, d.view, d.stepping, d.attempts, d.disk = false, how, nil, false, map[uint64]*oracle.Attempt{}, nil
	d.merges = map[node.Merge]*oracle.Merge{}
	w.mu.Unlock()
	random := d.random(life)
	// The interfaces of this machine, which may change, are not those of the simulation: they are hardly looked at.
	d.port = newPort(d, p2p.Config{BookFile: filepath.Join(d.dir, "addresses.json"), Clock: d.clock, Rand: random, Logger: w.log, WatchEvery: 24 * time.Hour})
	n, err := node.Open(context.Background(), node.Config{Dir: d.dir, Name: d.name(), Network: d.port, AntiEntropy: w.s.Period(d.index), DeleteLog: w.s.DeleteLog, Limits: w.limits(), RowsMemory: w.s.AnswerMemory,
		NewIdentity: newIdentity, Clock: d.clock, Rand: random, Backend: func(place string) (datastore.Batching, store.BootToken, error) { return d.backend(life, place) },
		Observe: &observer{d, life}, Logger: w.log})
	if err != nil {
		return err
	}
	if err := d.register(n); err != nil {
		return errors.Join(err, n.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d.node, d.id = n, n.ID()
	w.byID[d.id] = d
	return nil
}

// limits are those of answers. What is cut is made from names or by walking the paths, as it is with large answers.
func (w *world) limits() crdt.Limits {
	if w.s.AnswerRows == 0 {
		return crdt.Limits{}
	}
	return crdt.Limits{Rows: w.s.AnswerRows, Bytes: 1 << 20, Names: 4 * w.s.AnswerRows}
}

// backend opens the datastore of a space. Only that of the shared space counts as the device's disk: the space that each device founds
// by itself is dropped when it joins.
func (d *device) backend(life int, place string) (datastore.Batching, store.BootToken, error) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	name := filepath.Base(place)
	ds := d.stores[name]
	if ds == nil {
		ds = mem.New()
		d.stores[name] = ds
	}
	inject(ds, d.full)
	if d.w.folder == "" {
		d.w.folder = name // the founder's
	}
	if name != d.w.folder {
		return ds, nil, nil
	}
	d.disk = &disk{Datastore: ds, d: d, life: life}
	d.disk.forget()
	d.tellDisk()
	return d.disk, &d.token, nil
}

// fill fills the disk, or makes space. A device that does not run takes note of it when it starts.
func (d *device) fill(full bool) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.full = full
	d.tellDisk()
	if d.disk != nil && d.disk.life != d.life {
		return
	}
	for _, s := range d.stores {
		inject(s, full)
	}
}

func inject(s *mem.Datastore, full bool) {
	if full {
		s.Inject(mem.DiskFull)
	} else {
		s.Inject(nil)
	}
}

// tellDisk tells the oracle whether writes are refused with good reason. The caller holds the world's mutex.
func (d *device) tellDisk() {
	d.w.oracle.DiskFails(d.index, d.full, d.disk != nil && d.disk.life == d.life && d.disk.fails != works)
}

// enter makes a started device one that takes part.
func (d *device) enter() error {
	space, err := d.node.Space("")
	if err != nil {
		return err
	}
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.space, d.up = space, true
	return nil
}

// meet tells the device the addresses of all others that it can reach, and them its own.
func (d *device) meet() {
	w := d.w
	type door struct {
		*port
		to   gossip.DeviceID
		addr string
	}
	var doors []door
	w.mu.Lock()
	for _, o := range w.devices {
		if !o.id.IsZero() && w.router.linked(d.index, o.index) {
			doors = append(doors, door{d.port, o.id, o.addr()})
			if o.up {
				doors = append(doors, door{o.port, d.id, d.addr()})
			}
		}
	}
	w.mu.Unlock()
	for _, x := range doors {
		_ = x.AddAddr(x.to, x.addr) // one that stops just now hears of it from the other
	}
}

// clone copies the data directory and the data of another device, as people do with a folder.
func (d *device) clone(of *device) (copied bool, err error) {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still(of)
	ds := of.stores[w.folder]
	if ds == nil {
		return false, nil
	}
	d.stores[w.folder] = ds.Clone()
	if err := os.RemoveAll(d.dir); err != nil {
		return false, err
	}
	return true, os.CopyFS(d.dir, os.DirFS(of.dir))
}

// close ends the device in order. why and until say why, and when it starts again.
func (d *device) close(why string, until time.Time) (clean bool) {
	w := d.w
	w.mu.Lock()
	d.up = false
	n := d.node
	w.mu.Unlock()
	err := n.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	d.life++
	d.tellDisk()
	d.stepping = false
	w.oracle.Stopped(d.index)
	w.emit(oracle.Event{Kind: oracle.EventStop, Device: d.index, Until: w.since(until), Text: why})
	return err == nil
}

// crash takes the power away. until says when the device starts again.
func (d *device) crash(share int64, until time.Time) {
	w := d.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still(d)
	d.up = false
	d.life++
	w.router.pull(d.port.plug)
	d.disk.crash(share)
	_ = d.token.Remove()
	d.tellDisk()
	w.oracle.Stopped(d.index)
	d.tellDamage()
	w.emit(oracle.Event{Kind: oracle.EventCrash, Device: d.index, Until: w.since(until)})
	n, gone := d.node, make(chan struct{})
	d.gone = gone
	w.work.Go(func() {
		defer close(gone)
		_ = n.Close() // says that the disk fails
	})
}

// again starts a device that is away, when its time has come. A disk that is full may keep it from starting; then it is tried until
// there is space.
func (d *device) again(until time.Time, how oracle.Start) {
	time.Sleep(time.Until(until))
	for {
		err := d.open(how, false)
		if err == nil {
			err = d.enter()
		}
		d.w.mu.Lock()
		full := d.full
		if err != nil && !full {
			d.w.oracle.Fail(oracle.Available, d.index, "start: %v", err)
		}
		d.w.mu.Unlock()
		if err == nil || !full {
			return
		}
		time.Sleep(time.Second)
	}
}

// join starts a device for the first time and lets somebody invite it.
func (d *device) join(how oracle.Start) error {
	if err := d.open(how, how == oracle.AsClone); err != nil {
		return err
	}
	until := time.Now().Add(setUpMax)
	for try := 0; ; try++ {
		host := d.w.host(d, try)
		if host == nil {
			time.Sleep(100 * time.Millisecond)
		} else if err := d.joinBy(host); err == nil {
			break
		} else {
			d.w.log.Info("join", "device", d.index, "host", host.index, "err", err)
			time.Sleep(time.Second)
		}
		if d.w.isOver() || d.w.ctx.Err() != nil || time.Now().After(until) {
			return fmt.Errorf("nobody could let device %d in", d.index)
		}
	}
	if err := d.enter(); err != nil {
		return err
	}
	d.meet()
	return nil
}

// joinBy lets the device join with a ticket that host makes.
func (d *device) joinBy(host *device) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d.w.mu.Lock()
	n, space := host.node, host.space
	d.w.mu.Unlock()
	i, err := n.Invite(ctx, space, node.InviteOptions{AutoAccept: true})
	if err != nil {
		return err
	}
	_, err = d.node.Join(ctx, i.Ticket)
	return err
}

// startOf says how a scenario's operation starts a device.
func startOf(op *scenario.Op) oracle.Start {
	if op.Do == scenario.DoClone {
		return oracle.AsClone
	}
	return oracle.FirstStart
}
