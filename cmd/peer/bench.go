package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// How long and how large the measurements are: about a minute in all. The values have 64 bytes.
const (
	benchWriters  = 256
	benchTime     = 4 * time.Second
	benchEntries  = 100_000
	benchTxSize   = 1_000
	benchVisible  = 500
	benchSmall    = 20
	benchIdle     = 15 * time.Second
	benchSettle   = 3 * time.Second // libp2p counts bytes once a second
	benchValueLen = 64
)

// A bencher measures on this machine, now.
type bencher struct {
	*app
	dir string
	doc wire.Bench
	bar func(string)
}

// measure prints the figures of --bench.
func (d *devCommand) measure(ctx context.Context, dir string) error {
	b := &bencher{app: d.app, dir: dir, doc: wire.Bench{Schema: wire.SchemaBench, CPUs: runtime.NumCPU()}}
	b.bar = func(what string) {
		if !b.json {
			b.out.note("measuring %s…", what)
		}
	}
	for _, part := range []func(context.Context) error{b.puts, b.relaxed, b.transactions, b.pair, b.resident} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return b.out.result(b.doc, b.print)
}

func (b *bencher) print() {
	t := b.out.table("WHAT", "HERE, NOW", "TARGET", "")
	for _, f := range b.doc.Figures {
		target, color, mark := "—", "", ""
		if f.Target > 0 {
			target, color, mark = "≥ "+figure(f.Target)+" "+f.Unit, yellow, "missed"
			if f.AtMost {
				target = "≤" + target[len("≥"):]
			}
			if f.Met {
				color, mark = green, "met"
			}
		}
		t.add(text(f.What), text(figure(f.Value)+" "+f.Unit), text(target), cell{text: orElse(mark, "-"), color: color})
	}
	t.print()
	b.out.say("%s, values of %d bytes. The machine's other work counts, too; docs/PERFORMANCE.md has figures and how they were measured.",
		plural(b.doc.CPUs, "core", "cores"), benchValueLen)
	for _, f := range b.doc.Figures {
		if f.Note != "" {
			b.out.say("%s: %s", f.What, f.Note)
		}
	}
}

// figure writes a number with what digits say something.
func figure(v float64) string {
	if v >= 100 {
		return count(int(v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// add notes a figure. A target below zero is the most that may be.
func (b *bencher) add(what string, value float64, unit string, target float64, note string) {
	f := wire.Figure{What: what, Value: value, Unit: unit, Target: max(target, -target), AtMost: target < 0, Note: note}
	f.Met = target == 0 || target > 0 && value >= target || target < 0 && value <= -target
	b.doc.Figures = append(b.doc.Figures, f)
}

func benchValue(i int) node.Content {
	return node.Text(fmt.Sprintf("%-*d", benchValueLen, i))
}

// putMany lets writers put as fast as they can for benchTime and returns the puts a second.
func putMany(ctx context.Context, s *node.Space) (float64, error) {
	var n atomic.Int64
	var once sync.Once
	var bad error
	var all sync.WaitGroup
	start := time.Now()
	for w := range benchWriters {
		all.Go(func() {
			for i := 0; time.Since(start) < benchTime; i++ {
				if _, err := s.Put(ctx, fmt.Sprintf("put/%d/%d", w, i%100), benchValue(i)); err != nil {
					once.Do(func() { bad = err })
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(start).Seconds(), bad
}

// alone opens a device without a network for f.
func (b *bencher) alone(ctx context.Context, name string, cfg node.Config, f func(*node.Space) error) error {
	cfg.Dir, cfg.RuntimeDir = filepath.Join(b.dir, name), filepath.Join(b.dir, "run")
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	s, err := n.Space("")
	if err == nil {
		err = f(s)
	}
	return err
}

func (b *bencher) puts(ctx context.Context) error {
	b.bar("puts that are on disk when they return")
	return b.alone(ctx, "synced", node.Config{}, func(s *node.Space) error {
		rate, err := putMany(ctx, s)
		b.add(fmt.Sprintf("puts, %d writers, each on disk", benchWriters), rate, "/s", 20_000, "")
		return err
	})
}

func (b *bencher) relaxed(ctx context.Context) error {
	b.bar("relaxed puts")
	return b.alone(ctx, "relaxed", node.Config{Relaxed: true}, func(s *node.Space) error {
		rate, err := putMany(ctx, s)
		b.add(fmt.Sprintf("puts, %d writers, relaxed", benchWriters), rate, "/s", 70_000, "")
		return err
	})
}

// putBulk puts benchEntries entries in transactions and returns the bytes of their paths and values, and the puts a second.
func putBulk(ctx context.Context, s *node.Space) (bytes int, rate float64, err error) {
	start := time.Now()
	for i := 0; i < benchEntries; i += benchTxSize {
		_, err := s.Tx(ctx, func(tx *node.Tx) error {
			for k := i; k < i+benchTxSize; k++ {
				path := fmt.Sprintf("bulk/%06d", k)
				bytes += len(path) + benchValueLen
				tx.Put(path, benchValue(k))
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return bytes, benchEntries / time.Since(start).Seconds(), nil
}

// transactions measures them over new paths, and over older values, which must be read and become history.
func (b *bencher) transactions(ctx context.Context) error {
	b.bar("transactions")
	return b.alone(ctx, "transactions", node.Config{}, func(s *node.Space) error {
		_, fresh, err := putBulk(ctx, s)
		if err != nil {
			return err
		}
		_, again, err := putBulk(ctx, s)
		b.add("puts in transactions of 1 000, each on disk", fresh, "/s", 200_000, "")
		b.add("the same over older values", again, "/s", 0, "each is read, and becomes history")
		return err
	})
}

// pair measures how a device catches up with another, and what travels between the two.
func (b *bencher) pair(ctx context.Context) error {
	b.bar("an empty device that catches up")
	quiet := node.Config{AntiEntropy: time.Hour} // a session in between would count as bytes of a put
	one, err := startMember(ctx, b.dir, "laptop", quiet)
	if err != nil {
		return err
	}
	defer one.node.Close()
	bytes, _, err := putBulk(ctx, one.space)
	if err != nil {
		return err
	}
	two, err := startMember(ctx, b.dir, "phone", quiet)
	if err != nil {
		return err
	}
	defer two.node.Close()
	start := time.Now()
	if err := two.joinThrough(ctx, one); err != nil {
		return err
	}
	if err := one.space.WaitFor(ctx, "phone"); err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	b.add("100k entries to an empty device, joining included", took, "s", -1.5, "")
	b.add("the same as rows, applied and on disk", benchEntries/took, "/s", 100_000, "with joining, reading and sending on the same cores; go test ./store -bench . measures applying alone, which the target means")
	travelled, err := settled(ctx, two)
	if err != nil {
		return err
	}
	b.add("its bytes for one byte of path and value", float64(travelled)/float64(bytes), "", -1.05, "as libp2p counts them, without its encryption and packet headers")
	return b.small(ctx, &fleet{members: []*member{one, two}})
}

// settled returns the bytes that a device exchanged with others, once they are counted: when the counter moved no more than what an idle
// pair says. What took less than a second is not counted at all when it ends.
func settled(ctx context.Context, m *member) (uint64, error) {
	const idleBytesMax = 4096
	for last, until := traffic(m), time.Now().Add(arrivalMax); pause(ctx, benchSettle/2); {
		now := traffic(m)
		if now > 0 && now-last <= idleBytesMax {
			return now, nil
		}
		if last = now; time.Now().After(until) {
			return 0, node.ErrNotCaughtUp.With("%d bytes are counted, and more are still on the way after %v", now, arrivalMax)
		}
	}
	return 0, ctx.Err()
}

// traffic returns the bytes that a device exchanged with others, as libp2p counted them up to a second ago.
func traffic(m *member) (n uint64) {
	for _, p := range m.net.Peers() {
		n += p.BytesIn + p.BytesOut
	}
	return n
}

// small measures single puts between an idle pair.
func (b *bencher) small(ctx context.Context, f *fleet) error {
	b.bar("put to visible on the other device")
	one, two := f.members[0], f.members[1]
	if _, err := f.heal(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := watch(watching, two.space, "small")
	var times []float64
	for i := range benchVisible + benchSmall {
		pause(ctx, 5*time.Millisecond)
		took, err := timePut(ctx, one.space, seen, i)
		if err != nil {
			return err
		}
		times = append(times, float64(took.Microseconds())/1000)
	}
	times = times[benchSmall:] // the first ones find the way
	slices.Sort(times)
	b.add("put → visible on the other device, median", times[len(times)/2], "ms", -1, "from the begin of the put; gossip does not wait for the disk of the writer")

	b.bar("the bytes of one put")
	pause(ctx, benchSettle)
	before := traffic(two)
	pause(ctx, 2*benchSettle)
	idle := float64(traffic(two)-before) / (2 * benchSettle).Seconds()
	before, start := traffic(two), time.Now()
	for i := range benchSmall {
		if _, err := timePut(ctx, one.space, seen, -i); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	pause(ctx, benchSettle)
	added := float64(traffic(two)-before) - idle*time.Since(start).Seconds()
	b.add("bytes for one small put", added/benchSmall, "B", -300, "as libp2p counts them, without its encryption and packet headers")
	return ctx.Err()
}

// watch returns, once it watches, the moments at which a path changes, until ctx ends.
func watch(ctx context.Context, s *node.Space, path string) <-chan time.Time {
	seen, ready := make(chan time.Time, 1), make(chan struct{})
	go func() {
		for ev, err := range s.Watch(ctx, path, "") {
			switch {
			case err != nil:
				return
			case ev.UpToDate:
				close(ready)
			default:
				select {
				case seen <- time.Now():
				case <-ctx.Done():
				}
			}
		}
	}()
	select {
	case <-ready:
	case <-ctx.Done():
	}
	return seen
}

// timePut puts and returns how long it took until it was seen elsewhere.
func timePut(ctx context.Context, s *node.Space, seen <-chan time.Time, i int) (time.Duration, error) {
	start := time.Now()
	if _, err := s.Put(ctx, "small", benchValue(i)); err != nil {
		return 0, err
	}
	select {
	case at := <-seen:
		return at.Sub(start), nil
	case <-time.After(arrivalMax):
		return 0, node.ErrNotCaughtUp.With("a put did not arrive within %v", arrivalMax)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// resident starts the laptop's data in a process of its own and asks the system for its memory.
func (b *bencher) resident(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	b.bar("the memory of an idle device")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inst, err := instanceUnder(filepath.Join(b.dir, "laptop"))
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Args = []string{os.Args[0], "--dir", filepath.Join(b.dir, "laptop"), "up", "--no-lan", "--listen", "/ip4/127.0.0.1/tcp/0"}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		terminate(cmd.Process.Pid)
		cmd.Wait()
	}()
	c := client.New(inst.socket, "")
	defer c.Close()
	for until := time.Now().Add(arrivalMax); ; {
		st, err := c.Status(ctx)
		if err == nil && st.Entries >= benchEntries {
			break
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
		if time.Now().After(until) {
			return fmt.Errorf("the device did not come up again within %v: %w", arrivalMax, err)
		}
	}
	pause(ctx, benchIdle)
	bytes := residentBytes(cmd.Process.Pid)
	if bytes == 0 && ctx.Err() == nil {
		return errors.New("the device ended while its memory was to be measured")
	}
	b.add("resident memory, 100k entries, idle", float64(bytes)/1e6, "MB", -54, fmt.Sprintf("after %v; the target is for 60 s", benchIdle))
	return ctx.Err()
}

// residentBytes returns what Linux says of a process.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
