package des

import (
	"slices"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A pair is two devices that can connect.
type pair struct {
	a, b *device
	conn *conn
	// dialing says that an attempt is under way.
	dialing bool
}

// A conn is one connection. When it dies, each end notices after a while of its own.
type conn struct {
	pair *pair
	dead bool
	// told says that the end was told of the connection and not yet of its end; gone that it never will be.
	told, gone [2]bool
}

// A cut separates groups of devices: for good, so that connections die, or for a while, so that everything comes late.
type cut struct {
	stall bool
	// group holds for each device the number of its group, counted from 1; 0 stands for none.
	group []int
	// late is what arrives once the stall is over; until is when that is, if somebody wants to be told.
	late  []func()
	until time.Duration
}

func (c *cut) separates(a, b int) bool {
	x, y := c.group[a], c.group[b]
	return x > 0 && y > 0 && x != y
}

// addPairs makes the pairs that can connect. They are kept with their devices: a large network has few links for each.
func (w *world) addPairs() {
	links := slices.Clone(w.s.Network.Links)
	if links == nil {
		for a := range w.devices {
			for b := a + 1; b < len(w.devices); b++ {
				links = append(links, [2]int{a, b})
			}
		}
	}
	for i, l := range links {
		links[i] = [2]int{min(l[0], l[1]), max(l[0], l[1])}
	}
	slices.SortFunc(links, func(k, l [2]int) int { return slices.Compare(k[:], l[:]) })
	for _, l := range slices.Compact(links) {
		if l[0] == l[1] {
			continue
		}
		p := &pair{a: w.devices[l[0]], b: w.devices[l[1]]}
		w.pairs = append(w.pairs, p)
		// In the order of links a device gets all the smaller others before the greater ones.
		p.a.pairs, p.b.pairs = append(p.a.pairs, p), append(p.b.pairs, p)
	}
}

// conn returns the connection over which d reaches a peer, nil if it knows of none.
func (w *world) conn(d, peer *device) *conn {
	i, ok := slices.BinarySearchFunc(d.pairs, peer.index, func(p *pair, index int) int { return p.other(d).index - index })
	if !ok {
		return nil
	}
	return d.pairs[i].known(d)
}

// known returns the connection of a pair, nil if d knows of none.
func (p *pair) known(d *device) *conn {
	if p.conn == nil || !p.conn.told[p.side(d)] {
		return nil
	}
	return p.conn
}

// other returns the device that d is paired with.
func (p *pair) other(d *device) *device { return p.end(1 - p.side(d)) }

func (p *pair) side(d *device) int {
	if p.a == d {
		return 0
	}
	return 1
}

func (p *pair) end(side int) *device {
	if side == 0 {
		return p.a
	}
	return p.b
}

// dialAll tries to connect a device with all others.
func (w *world) dialAll(d *device) {
	for _, p := range d.pairs {
		w.dial(p, 0)
	}
}

// dial connects a pair, if it can be done, after wait and the time that it takes.
func (w *world) dial(p *pair, wait time.Duration) {
	if p.dialing || p.conn != nil {
		return
	}
	p.dialing = true
	f := w.fate(fateDial, p.a.index, p.b.index, 0)
	w.after(wait+f.between(5*time.Millisecond, 400*time.Millisecond), func() {
		p.dialing = false
		if p.conn != nil || !p.a.up || !p.b.up || w.isCut(p.a.index, p.b.index) {
			return // whatever is in the way dials again when it is gone
		}
		c := &conn{pair: p}
		p.conn = c
		for side := range 2 {
			f = f.next()
			life := p.end(side).life
			w.after(f.between(0, 20*time.Millisecond), func() { w.tellUp(c, side, life) })
		}
	})
}

func (w *world) tellUp(c *conn, side, life int) {
	d := c.pair.end(side)
	if c.dead || d.life != life {
		return
	}
	c.told[side] = true
	w.tell("device %d is connected to device %d", d.index, c.pair.end(1-side).index)
	w.history.event(oracle.Event{Kind: oracle.EventConnect, Device: d.index, Peer: c.pair.end(1 - side).index})
	d.step(PhaseOther, node.PeerUp{Peer: c.pair.end(1 - side).id})
}

// kill lets a connection die. What is under way is lost.
func (w *world) kill(c *conn, patience time.Duration) {
	if c.dead {
		return
	}
	c.dead = true
	f := w.fate(fateDetect, c.pair.a.index, c.pair.b.index, 0)
	for side := range 2 {
		f = f.next()
		d := c.pair.end(side)
		if !c.told[side] || !d.up {
			c.gone[side] = true
			continue
		}
		life := d.life
		w.after(f.between(time.Millisecond, patience), func() { w.tellDown(c, side, life) })
	}
	w.forget(c)
}

func (w *world) tellDown(c *conn, side, life int) {
	d := c.pair.end(side)
	c.gone[side] = true
	if d.life == life {
		c.told[side] = false
		w.tell("device %d has lost device %d", d.index, c.pair.end(1-side).index)
		w.history.event(oracle.Event{Kind: oracle.EventLose, Device: d.index, Peer: c.pair.end(1 - side).index})
		d.step(PhaseOther, node.PeerDown{Peer: c.pair.end(1 - side).id})
	}
	w.forget(c)
}

// forget makes room for a new connection once both ends know that the old one is gone.
func (w *world) forget(c *conn) {
	if c.gone[0] && c.gone[1] && c.pair.conn == c {
		c.pair.conn = nil
		w.dial(c.pair, 100*time.Millisecond)
	}
}

// dropAll ends all connections of a device that stopped.
func (w *world) dropAll(d *device) {
	for _, p := range d.pairs {
		c := p.conn
		if c == nil {
			continue
		}
		if c.dead {
			c.gone[p.side(d)] = true
			w.forget(c)
			continue
		}
		w.kill(c, 8*time.Second)
	}
}

// addCut separates groups for a while, or until they are healed if length is 0.
func (w *world) addCut(groups [][]int, stall bool, length time.Duration) {
	c := &cut{stall: stall, group: make([]int, len(w.devices)), until: w.history.until(length)}
	for k, g := range groups {
		for _, i := range g {
			c.group[i] = k + 1
		}
	}
	w.cuts = append(w.cuts, c)
	if !stall {
		for _, p := range w.pairs {
			if p.conn != nil && c.separates(p.a.index, p.b.index) {
				w.kill(p.conn, 4*time.Second)
			}
		}
	}
	w.lasting(length, func() { w.uncut(c) })
}

// lasting arranges the end of something that lasts for a while, unless it is healed before: with a length of 0 nothing else ends it.
func (w *world) lasting(length time.Duration, end func()) {
	if healings := w.healings; length > 0 {
		w.after(length, func() {
			if w.healings == healings {
				end()
			}
		})
	}
}

// healAll ends everything that lasts: cuts, full disks, and what makes the network worse.
func (w *world) healAll() {
	w.healings++
	w.loss, w.duplicate, w.reorder, w.slow = 0, 0, 0, 0
	for _, d := range w.devices {
		if d.full {
			d.fill(false)
		}
	}
	w.uncut(nil)
}

// disconnect separates one device from all others for a while.
func (w *world) disconnect(d *device, length time.Duration) {
	w.oracle.Sometimes("disconnect")
	w.addCut(oracle.Apart(d.index, len(w.devices)), false, length)
}

// uncut ends one cut, or all if c is nil.
func (w *world) uncut(c *cut) {
	w.cuts = slices.DeleteFunc(w.cuts, func(d *cut) bool {
		over := c == nil || c == d
		if over {
			for _, arrive := range d.late {
				w.after(0, arrive)
			}
		}
		return over
	})
	for _, d := range w.devices {
		if d.up {
			w.dialAll(d)
		}
	}
}

func (w *world) isCut(a, b int) bool {
	return slices.ContainsFunc(w.cuts, func(c *cut) bool { return !c.stall && c.separates(a, b) })
}

// stalled returns a stall that holds up what arrives now, nil if there is none.
func (w *world) stalled(a, b int) *cut {
	for _, c := range w.cuts {
		if c.stall && c.separates(a, b) {
			return c
		}
	}
	return nil
}

// latency returns how long a message takes.
func (w *world) latency(f fate) time.Duration {
	return w.slow + f.between(w.s.Network.LatencyMin, w.s.Network.LatencyMax)
}

// A frame is what leaves a device at once: one operation, or several that were written within framePack.
type frame struct {
	ops [][]byte
	// sum is a hash over all of them.
	sum uint64
}

func newFrame(ops [][]byte) frame {
	f := frame{ops, uint64(len(ops))}
	for _, op := range ops {
		f.sum = mix(f.sum, sum(op))
	}
	return f
}

// framePack is how long operations wait for others to travel with.
const framePack = 8 * time.Millisecond

// size is the number of bytes in the operations.
func (f frame) size() int {
	n := 0
	for _, op := range f.ops {
		n += len(op)
	}
	return n
}

// publish puts an operation into the author's next frame.
func (w *world) publish(author *device, op []byte) {
	if decoded, err := crdt.DecodeOp(op); err == nil {
		w.dots[sum(op)] = decoded.Dot
	}
	author.frame = append(author.frame, op)
	if len(author.frame) > 1 {
		w.oracle.Sometimes("several operations in a frame")
		return
	}
	life, f := author.life, w.fate(fateFrame, author.index, 0, sum(op))
	w.after(f.between(0, framePack), func() {
		if author.life == life {
			f := newFrame(author.frame)
			author.frame = nil
			author.seen[f.sum] = true
			w.spread(author, author, nil, f)
		}
	})
}

// spread sends a frame over all connections but the one that it came by.
func (w *world) spread(author, at, from *device, f frame) {
	for _, p := range at.pairs {
		to := p.other(at)
		if to == from || to == author || !to.gossips() {
			continue
		}
		if c := p.known(at); c != nil {
			w.gossip(author, c, at, to, f)
		}
	}
}

// tapGossip changes the operations of a frame; none may be left.
func (w *world) tapGossip(from, to *device, f frame) frame {
	if w.taps.Gossip == nil {
		return f
	}
	var out [][]byte
	for _, op := range f.ops {
		if op = w.taps.Gossip(from.index, to.index, op); op != nil {
			out = append(out, op)
		}
	}
	return newFrame(out)
}

func (w *world) gossip(author *device, c *conn, from, to *device, ops frame) {
	if ops = w.tapGossip(from, to, ops); len(ops.ops) == 0 {
		return
	}
	if w.quietFrom > 0 {
		w.said++
	}
	loss := w.s.Network.Loss + w.loss
	if w.healed {
		loss = 0
	}
	content := ops.sum
	if f := w.fate(fateLoss, from.index, to.index, content); f.share() < loss {
		w.oracle.Sometimes("gossip lost")
		w.history.lost(from, to, "gossip")
		if f.next().share() < 0.2 { // a queue was full, and it was noticed
			life := from.life
			w.after(0, func() {
				if from.life == life {
					from.step(PhaseOther, node.Lost{Peer: to.id})
				}
			})
		}
		return
	}
	f := w.fate(fateLatency, from.index, to.index, content)
	way := w.latency(f) + f.next().between(0, w.reorder)
	w.history.gossip(from, to, ops, way)
	w.after(way, func() { w.arrive(author, c, from, to, ops, false) })
	if g := w.fate(fateDuplicate, from.index, to.index, content); g.share() < w.s.Network.Duplicate+w.duplicate {
		w.oracle.Sometimes("gossip twice")
		w.after(w.latency(f)+w.latency(g.next()), func() { w.arrive(author, c, from, to, ops, true) })
	}
}

// arrive brings gossip to a device. again says that even a transport that forgets nothing would not have stopped it.
func (w *world) arrive(author *device, c *conn, from, to *device, ops frame, again bool) {
	if c.dead || !to.up {
		w.history.lost(from, to, "gossip")
		return
	}
	if stall := w.stalled(from.index, to.index); stall != nil {
		stall.late = append(stall.late, func() { w.arrive(author, c, from, to, ops, again) })
		return
	}
	if to.seen[ops.sum] && !again {
		return
	}
	to.seen[ops.sum] = true
	to.receive(author, from, ops)
	if !again && to.up {
		w.spread(author, to, from, ops)
	}
}

func (d *device) receive(author, from *device, f frame) {
	d.w.fold(f.sum)
	dots, known := make([]crdt.Dot, len(f.ops)), make([]bool, len(f.ops))
	for i, op := range f.ops {
		dots[i] = d.w.dots[sum(op)]
		known[i] = d.w.oracle.Has(d.index, dots[i])
	}
	d.step(PhaseGossip, node.Ops{Author: author.id, From: from.id, Ops: f.ops})
	if len(d.inbox.in) > 0 {
		return // nothing came of it yet
	}
	for i, dot := range dots {
		d.noteGossip(known[i], dot)
	}
}

// do carries out an operation of the scenario.
func (w *world) do(op *scenario.Op) {
	w.fold(sum([]byte(op.Do)))
	if w.trace != nil {
		w.trace(w.s.Tell(op))
	}
	w.history.fault(op)
	if d := w.devices[op.Device]; op.Do.OnDevice() {
		w.doOn(d, op)
		return
	}
	amount := time.Duration(op.Amount) * time.Millisecond
	switch op.Do {
	case scenario.DoPartition, scenario.DoStall:
		w.oracle.Sometimes(string(op.Do))
		w.addCut(op.Groups, op.Do == scenario.DoStall, op.For)
	case scenario.DoHeal:
		w.healAll()
	case scenario.DoLoss:
		worsen(w, &w.loss, float64(op.Amount)/1000, op.For)
	case scenario.DoDuplicate:
		worsen(w, &w.duplicate, float64(op.Amount)/1000, op.For)
	case scenario.DoReorder:
		w.oracle.Sometimes("reorder")
		worsen(w, &w.reorder, amount, op.For)
	case scenario.DoSlow:
		worsen(w, &w.slow, amount, op.For)
	}
}

// worsen adds to one badness of the network for a while, or until it is healed if length is 0.
func worsen[T float64 | time.Duration](w *world, what *T, by T, length time.Duration) {
	*what += by
	w.lasting(length, func() { *what = max(0, *what-by) })
}

// doOn carries out an operation on a device, if it runs.
func (w *world) doOn(d *device, op *scenario.Op) {
	switch op.Do {
	case scenario.DoClock:
		d.skew += op.Amount
		w.oracle.Sometimes("clock jump")
		return
	case scenario.DoJoin, scenario.DoClone:
		w.join(op)
		return
	case scenario.DoDisconnect:
		w.disconnect(d, op.For)
		return
	}
	if !d.up {
		w.tell("device %d does not run", d.index)
		return
	}
	again := func(how oracle.Start) { w.after(op.For, func() { d.start(how) }) }
	switch op.Do {
	case scenario.DoWrite:
		if len(w.cuts) > 0 && op.Parts[0].Verb == scenario.Resolve {
			w.oracle.Sometimes("resolve in a partition")
		}
		d.write(op.Parts)
	case scenario.DoPolicy:
		d.policy(op)
	case scenario.DoDamage:
		d.damage(op.Path)
	case scenario.DoRepair:
		d.repair()
	case scenario.DoRead:
		d.read(op.Path)
	case scenario.DoReset:
		d.resetAll()
	case scenario.DoSync:
		d.step(PhaseOther, node.SyncNow{})
	case scenario.DoCrash:
		w.history.down(d, oracle.EventCrash, "", op.For)
		d.crash(op.Amount)
		again(oracle.AfterCrash)
	case scenario.DoSyncFail:
		w.failSync(d, op)
	case scenario.DoRestart:
		w.history.down(d, oracle.EventStop, oracle.StopRestart, op.For)
		if d.disk.fails != works { // what the program wrote may be gone when it is started again
			d.crash(op.Amount)
			again(oracle.AfterCrash)
			return
		}
		if d.close() {
			w.oracle.Sometimes("orderly restart")
		}
		again(oracle.AfterClose) // nothing is lost even if the mark of an orderly end could not be written
	case scenario.DoBackup:
		d.backup = newDisk(d.disk.Clone())
		w.oracle.BackedUp(d.index)
	case scenario.DoRestore:
		w.restore(d, op.For, again)
	case scenario.DoDiskFull:
		w.oracle.Sometimes("disk full")
		d.fill(true)
		w.lasting(op.For, func() { d.fill(false) })
	}
}

// restore replaces the data of a device by its backup.
func (w *world) restore(d *device, length time.Duration, again func(oracle.Start)) {
	if d.backup == nil {
		return
	}
	w.oracle.Sometimes("restore")
	w.history.down(d, oracle.EventStop, oracle.StopRestore, length)
	d.stop()
	d.works()
	d.disk = newDisk(d.backup.Clone())
	d.tellDamage()
	again(oracle.AfterRestore)
}

// failSync breaks the disk of a device for a while. Then somebody starts the machine anew.
func (w *world) failSync(d *device, op *scenario.Op) {
	broken := d.disk
	if broken.fails != works {
		return
	}
	broken.fails = fails
	d.tellDisk()
	w.after(op.For, func() {
		if d.disk == broken && broken.fails != works && d.up {
			w.history.down(d, oracle.EventCrash, "", 0)
			d.crash(op.Amount)
			d.start(oracle.AfterCrash)
		}
	})
}
