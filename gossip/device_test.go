package gossip

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
	"syncline/gossip/sketch"
)

var (
	seedFlag    = flag.Int64("seed", -1, "run the randomised tests of this package with one seed only")
	rewriteFlag = flag.Bool("rewrite", false, "write the output of the scenarios in testdata anew")
	goldenFlag  = flag.Bool("golden", false, "print the encodings that the golden tests pin")
)

// wallMillis is the clock of all devices in the tests: 2026-01-01.
const wallMillis = 1_767_225_600_000

// replicaID returns the n-th replica id; like real ones they look random.
func replicaID(n int) (r crdt.ReplicaID) {
	binary.BigEndian.PutUint64(r[:], uint64(n)*0x9e3779b97f4a7c15)
	return r
}

// A world is a set of devices and the truth about all that they wrote, against which their states are compared.
type world struct {
	t       testing.TB
	devices []*device
	ops     map[crdt.Dot]*crdt.Op
	// limits bound the answers of all devices.
	limits crdt.Limits
	// symbols is the size of first sketches.
	symbols int
	// rowsMemory bounds the rows of the answers of all devices, unless it is zero.
	rowsMemory int
}

// A device is a replica in memory, and its writer.
type device struct {
	*crdt.State
	name  string
	id    crdt.ReplicaID
	clock crdt.Clock
	told  crdt.Vector
}

func newWorld(t testing.TB, names ...string) *world {
	w := &world{t: t, ops: map[crdt.Dot]*crdt.Op{}}
	for i, name := range names {
		w.devices = append(w.devices, &device{State: crdt.NewState(), name: name, id: replicaID(i + 1)})
	}
	return w
}

// device returns the device with a name.
func (w *world) device(name string) *device {
	i := slices.IndexFunc(w.devices, func(d *device) bool { return d.name == name })
	if i < 0 {
		w.t.Fatalf("no device %q", name)
	}
	return w.devices[i]
}

// write makes one operation on a device; nil if it does nothing.
func (w *world) write(d *device, changes ...crdt.Change) *crdt.Op {
	w.t.Helper()
	writer := crdt.Writer{Dot: crdt.Dot{Replica: d.id, Counter: d.Context().Get(d.id) + 1}, Time: d.clock.Tick(wallMillis), Deps: d.Floor().Above(d.told)}
	if len(d.Parts()) > 1 {
		writer.Deps = d.Floor().Clone()
	}
	if writer.Dot.Counter == 1 {
		writer.Open = []byte("binding of " + d.id.String())
	}
	op, _, err := crdt.Write(d.State, writer, changes)
	if err != nil {
		w.t.Fatal(err)
	}
	if op != nil {
		d.told = d.Floor().Clone()
		if len(d.Parts()) > 1 {
			d.told = crdt.Vector{}
		}
		w.ops[op.Dot] = op
	}
	return op
}

func put(path, data string) crdt.Change {
	return crdt.Change{Path: path, Type: "text/plain; charset=utf-8", Data: []byte(data), ShownAll: true}
}

func del(path string) crdt.Change { return crdt.Change{Path: path, Delete: true, ShownAll: true} }

// forget makes a device forget all deletes.
func (w *world) forget(d *device) {
	if err := crdt.Trim(d.State, 0); err != nil {
		w.t.Fatal(err)
	}
}

// check compares a device with the truth: live is what no operation that it has seen supersedes.
func (w *world) check(d *device) error {
	want := map[string][]crdt.Dot{}
	dead := map[crdt.Name]bool{}
	for dot, op := range w.ops {
		for _, e := range op.Entries {
			if parts := d.Parts(); !parts[parts.Of(e.Path)].Context.Has(dot) {
				continue
			}
			for _, p := range e.Preds {
				dead[crdt.Name{Dot: p, Path: e.Path}] = true
			}
			if !e.Delete {
				want[e.Path] = append(want[e.Path], dot)
			}
		}
	}
	for path, dots := range want {
		want[path] = slices.DeleteFunc(dots, func(dot crdt.Dot) bool { return dead[crdt.Name{Dot: dot, Path: path}] })
		slices.SortFunc(want[path], crdt.Dot.Compare)
	}
	for _, path := range d.Paths() {
		want[path] = want[path][:len(want[path]):len(want[path])]
	}
	for path, dots := range want {
		var got []crdt.Dot
		for _, v := range d.Get(path).Live {
			got = append(got, v.Dot)
		}
		if !slices.Equal(got, dots) {
			return fmt.Errorf("%s at %q: live are %v, want %v", d.name, path, got, dots)
		}
	}
	return d.Check()
}

// A message is one that was sent, with the prefix that tells its length counted in.
type message struct {
	from  *device
	bytes []byte
}

func (m message) size() int {
	return len(binary.AppendUvarint(nil, uint64(len(m.bytes)))) + len(m.bytes)
}

// A meeting is one session between two devices; the first is its initiator.
type meeting struct {
	w        *world
	devices  [2]*device
	sessions [2]*Session
	inbox    [2][][]byte
	sent     []message
	// committed observes every delta that is joined.
	committed func(to *device, d *crdt.Delta)
}

func (w *world) meet(a, b *device, believed bool) *meeting {
	m := &meeting{w: w, devices: [2]*device{a, b}}
	for i, d := range m.devices {
		c := SessionConfig{Initiator: i == 0, BelievedEqual: believed, WallMillis: wallMillis, Limits: w.limits, RowsMemory: w.rowsMemory, Symbols: w.symbols}
		if n := d.Context().Get(d.id); n > 0 {
			c.Replica = crdt.Dot{Replica: d.id, Counter: n}
		}
		m.sessions[i] = NewSession(c)
	}
	m.sessions[0].Start(a)
	m.pump(0)
	return m
}

// pump puts what one end has to say on its way.
func (m *meeting) pump(i int) {
	for msg := m.sessions[i].Next(); msg != nil; msg = m.sessions[i].Next() {
		m.sent = append(m.sent, message{m.devices[i], msg})
		m.inbox[1-i] = append(m.inbox[1-i], msg)
	}
}

// deliver hands the next message to one end.
func (m *meeting) deliver(i int) error {
	msg := m.inbox[i][0]
	m.inbox[i] = m.inbox[i][1:]
	d, s := m.devices[i], m.sessions[i]
	delta, err := s.Receive(d, msg)
	if err != nil {
		return fmt.Errorf("%s refuses %s: %w", d.name, describe(msg, m.w), err)
	}
	if delta != nil {
		if m.committed != nil {
			m.committed(d, delta)
		}
		if _, err := crdt.Join(d.State, delta); err != nil {
			return err
		}
		if err := s.Committed(d); err != nil {
			return err
		}
	}
	m.pump(i)
	return nil
}

// run delivers until nothing is under way.
func (m *meeting) run() error {
	for len(m.inbox[0])+len(m.inbox[1]) > 0 {
		for i := range m.inbox {
			if len(m.inbox[i]) > 0 {
				if err := m.deliver(i); err != nil {
					return err
				}
			}
		}
	}
	return m.ended()
}

// ended says whether both ends came to an end; without one, both would wait for ever.
func (m *meeting) ended() error {
	for i, s := range m.sessions {
		if !s.Finished() {
			return fmt.Errorf("nothing is under way and %s still waits; so far:\n%s", m.devices[i].name, m.transcript())
		}
	}
	return nil
}

// sync runs a session from its begin to its end.
func (w *world) sync(a, b *device) *meeting {
	w.t.Helper()
	m := w.meet(a, b, false)
	if err := m.run(); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (m *meeting) bytes() int {
	n := 0
	for _, s := range m.sent {
		n += s.size()
	}
	return n
}

func (m *meeting) transcript() string {
	var b strings.Builder
	for _, s := range m.sent {
		fmt.Fprintf(&b, "%s says %s, %d bytes\n", s.from.name, describe(s.bytes, m.w), s.size())
	}
	return b.String()
}

// describe says what a message holds, for people.
func describe(msg []byte, w *world) string {
	dot := func(d crdt.Dot) string {
		for _, x := range w.devices {
			if x.id == d.Replica {
				return fmt.Sprintf("%s%d", x.name, d.Counter)
			}
		}
		return d.String()
	}
	seen := func(b []byte) string {
		v, err := crdt.DecodeVector(b)
		if err != nil {
			return err.Error()
		}
		return list(slices.Collect(v.All()), dot)
	}
	beyond := func(top []byte) string {
		if len(top) == 0 {
			return ""
		}
		return ", of some paths " + seen(top)
	}
	told := func(form uint8, entries []byte) string {
		switch form {
		case formChanges:
			var dots []crdt.Dot
			for r := (crdt.Reader{B: entries}); len(r.B) > 0 && r.Err == nil; {
				dots = append(dots, crdt.Dot{Replica: r.Replica(), Counter: r.Uvarint()})
			}
			return "other than you, I have seen " + list(dots, dot)
		case formSketch:
			return fmt.Sprintf("%d symbols of what I have seen", symbolsIn(w.t, entries))
		}
		return "I have seen " + seen(entries)
	}
	decode := func(v any) {
		if err := crdt.Unmarshal(msg, v); err != nil {
			w.t.Fatal(err)
		}
	}
	kind, err := messageType(msg)
	if err != nil {
		return err.Error()
	}
	switch kind {
	case msgHello:
		var h hello
		decode(&h)
		if h.Form == formNone {
			return "HELLO"
		}
		return "HELLO: " + told(h.Form, h.Entries) + beyond(h.Top)
	case msgVector:
		var v vector
		decode(&v)
		return "VECTOR: " + told(v.Form, v.Entries) + beyond(v.Top)
	case msgMore:
		var m more
		decode(&m)
		if m.Symbols == 0 {
			return "MORE: all of it"
		}
		return fmt.Sprintf("MORE: up to %d symbols", m.Symbols)
	case msgFloor:
		var f floor
		decode(&f)
		return "FLOOR: I have forgotten deletes up to " + seen(f.Floor)
	case msgLeft:
		var l left
		decode(&l)
		return "LEFT: " + l.Path
	case msgDead:
		var d dead
		decode(&d)
		return fmt.Sprintf("DEAD: %d values", len(d.Items)/16)
	case msgRows, msgLive, msgKill:
		rows, err := decodeRows(msg)
		if err != nil {
			w.t.Fatal(err)
		}
		var parts []string
		for _, r := range rows {
			s := r.Path
			for _, v := range r.Values {
				s += fmt.Sprintf(" %s=%.20q", dot(v.Dot), v.Data)
			}
			for _, k := range r.Known {
				s += " " + dot(k.Dot)
			}
			for _, d := range r.Deletes {
				s += " deleted by " + dot(d.Dot)
			}
			parts = append(parts, s)
		}
		return fmt.Sprintf("%s: %s", map[uint8]string{msgRows: "ROWS", msgLive: "LIVE", msgKill: "KILL"}[kind], strings.Join(parts, ", "))
	case msgEnd:
		var e end
		decode(&e)
		upto := ""
		if e.To != "" {
			upto = ", up to " + e.To
		}
		return fmt.Sprintf("END: %d rows, %d kills, context grew by %s, floor %s, %d bindings%s", e.Rows, e.Kills, seen(e.Context), seen(e.Floor), e.Opens, upto)
	case msgAsk:
		var a ask
		decode(&a)
		text := "ASK: what am I missing"
		if len(a.Vector) > 0 {
			text = "ASK: by now I have seen " + seen(a.Vector)
		}
		if a.From+a.To != "" {
			text += fmt.Sprintf(" from %q to %q", a.From, a.To)
		}
		if a.Listed == listedSketch {
			text += fmt.Sprintf(", %d symbols of live values", symbolsIn(w.t, a.Sketch[16:]))
		}
		if a.Listed == listedNames || a.Rows > 0 {
			text += fmt.Sprintf(", with %d rows of live values", a.Rows)
		}
		return text
	case msgBye:
		var b bye
		decode(&b)
		return fmt.Sprintf("BYE: %s", b.Code)
	}
	return map[uint8]string{msgOK: "OK", msgDone: "DONE", msgBusy: "BUSY", msgOpens: "OPENS"}[kind]
}

// list names dots, the first of many.
func list(dots []crdt.Dot, name func(crdt.Dot) string) string {
	if len(dots) == 0 {
		return "nothing"
	}
	var names []string
	for _, d := range dots {
		if text := name(d); d.Counter > 0 {
			names = append(names, text)
		} else {
			names = append(names, "nothing of "+strings.TrimRight(text, ":0"))
		}
	}
	slices.Sort(names)
	if n := len(names); n > 6 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], " "), n-3)
	}
	return strings.Join(names, " ")
}

func symbolsIn(t testing.TB, b []byte) int {
	s, err := sketch.Decode(sketch.Key{}, b)
	if err != nil {
		t.Fatal(err)
	}
	return s.Len()
}

// seeds returns the seeds that a randomised test runs.
func seeds(n int) []int64 {
	if *seedFlag >= 0 {
		return []int64{*seedFlag}
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func newRand(seed int64) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 0)) }
