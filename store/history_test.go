package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/store/mem"
)

// A past is a store whose one writer writes at a wall time that the test sets.
type past struct {
	t   *testing.T
	ds  *mem.Datastore
	s   *Store
	now int64
}

func newPast(t *testing.T, h HistoryBounds) *past {
	p := &past{t: t, ds: mem.New(), now: 1_000_000}
	p.open(h)
	return p
}

func (p *past) open(h HistoryBounds) {
	var err error
	if p.s, err = Open(context.Background(), p.ds, Options{History: h}); err != nil {
		p.t.Fatal(err)
	}
}

// write commits one operation for each change.
func (p *past) write(changes ...crdt.Change) {
	p.t.Helper()
	tx := p.s.Begin()
	tx.SetNow(p.now)
	for _, c := range changes {
		c.ShownAll = c.Shown == nil
		w := crdt.Writer{Dot: crdt.Dot{Replica: rid(1), Counter: tx.Context().Get(rid(1)) + 1}, Time: crdt.At(p.now)}
		if w.Dot.Counter == 1 {
			w.Open = []byte("device")
		}
		if _, _, err := crdt.Write(tx, w, []crdt.Change{c}); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		p.t.Fatal(err)
	}
}

func put(path, data string) crdt.Change { return crdt.Change{Path: path, Data: []byte(data)} }

// texts returns the data of the past values of a path with what ended them, newest first.
func (p *past) texts(path string) string {
	p.t.Helper()
	var out []string
	for v, err := range p.s.History(path, p.now) {
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%.9s-%d", v.Value.Data, v.How))
	}
	return strings.Join(out, " ")
}

func (p *past) want(path, want string) {
	p.t.Helper()
	if got := p.texts(path); got != want {
		p.t.Errorf("%s: history %q, want %q", path, got, want)
	}
	if err := p.s.Check(); err != nil {
		p.t.Error(err)
	}
}

// TestHistoryKeepsWhatIsReplaced: writes, deletes, decisions and policies, also several in one commit, and paths that begin alike.
func TestHistoryKeepsWhatIsReplaced(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	p.write(put("a", "1"))
	p.want("a", "")
	p.write(put("a", "2"), put("a", "3"))
	p.write(crdt.Change{Path: "a", Delete: true})
	p.write(put("a", "4"), put("a:15", "x"), put("a:15", "y"))
	decided := put("a", "5")
	decided.Clear = true
	p.write(decided)
	p.want("a", "4-3 3-2 2-1 1-1")
	p.want("a:15", "x-1")
	tx := p.s.Begin()
	if _, err := crdt.Apply(tx, &crdt.Op{Dot: crdt.Dot{Replica: rid(2), Counter: 1}, Time: 9, Open: []byte("o"),
		Entries: []crdt.OpEntry{{Path: "a", Data: []byte("6"), Clear: true, Policy: "json", Preds: []crdt.Dot{{Replica: rid(1), Counter: 8}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for v, err := range p.s.History("a", p.now) {
		if err != nil || v.How != HowPolicy || v.Policy != "json" || v.By != (crdt.Dot{Replica: rid(2), Counter: 1}) || v.ByTime != 9 || string(v.Value.Data) != "5" {
			t.Errorf("%+v, %v", v, err)
		}
		break
	}
	p.write(put("/members/m", "1"), put("/members/m", "2"))
	p.want("/members/m", "")
}

// TestHistoryOfASession: what a delta replaces is kept too; a value that went for a reason that the delta does not tell is kept as such.
func TestHistoryOfASession(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	far := crdt.NewState()
	step := func(n uint64, c crdt.Change) {
		t.Helper()
		c.ShownAll = true
		if _, _, err := crdt.Write(far, crdt.Writer{Dot: crdt.Dot{Replica: rid(2), Counter: n}, Time: crdt.Timestamp(n), Open: []byte("o")}, []crdt.Change{c}); err != nil {
			t.Fatal(err)
		}
		tx := p.s.Begin()
		d, err := crdt.Answer(far, tx.Context())
		if err == nil {
			_, err = crdt.Join(tx, d)
		}
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	step(1, put("a", "1"))
	step(2, put("a", "2"))
	step(3, crdt.Change{Path: "a", Delete: true})
	p.want("a", "2-2 1-1")
}

// TestADecisionEndsWhatItWasMadeOf: a device that was away while a base was overwritten on two sides, and these were merged, gets the merge
// alone. The base lost no decision. A device that had both sides says so of them, and not of the base.
func TestADecisionEndsWhatItWasMadeOf(t *testing.T) {
	dot := func(r byte, n uint64) crdt.Dot { return crdt.Dot{Replica: rid(r), Counter: n} }
	for _, policy := range []string{"merge:text", ""} {
		how := HowResolve
		if policy != "" {
			how = HowPolicy
		}
		far := crdt.NewState()
		write := func(d crdt.Dot, data string, preds ...crdt.Dot) {
			t.Helper()
			e := crdt.OpEntry{Path: "a", Data: []byte(data), Preds: preds, Descent: crdt.Descent{Since: d.Counter, From: preds}}
			if len(preds) > 1 {
				e.Clear, e.Policy = true, policy
			}
			op := &crdt.Op{Dot: d, Time: crdt.At(int64(d.Counter)), Entries: []crdt.OpEntry{e}}
			if d.Counter == 1 {
				op.Open = []byte("o")
			}
			if _, err := crdt.Apply(far, op); err != nil {
				t.Fatal(err)
			}
		}
		sync := func(p *past) {
			t.Helper()
			tx := p.s.Begin()
			d, err := crdt.Answer(far, tx.Context())
			if err == nil {
				_, err = crdt.Join(tx, d)
			}
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		away, there := newPast(t, HistoryBounds{}), newPast(t, HistoryBounds{})
		write(dot(2, 1), "base")
		sync(away)
		sync(there)
		write(dot(3, 1), "right", dot(2, 1))
		// The left side did not see the right one.
		write(dot(4, 1), "left", dot(2, 1))
		sync(there)
		write(dot(2, 2), "both", dot(3, 1), dot(4, 1))
		sync(away)
		sync(there)
		away.want("a", "base-1")
		there.want("a", fmt.Sprintf("left-%d right-%d base-1", how, how))
	}
}

// TestHistoryIsBounded by versions, age, and the bytes of a path, at once for who reads; by all of these and the bytes of the space on
// disk, after enough was written for the sweep to come round.
func TestHistoryIsBounded(t *testing.T) {
	p := newPast(t, HistoryBounds{Versions: 3, Age: time.Minute, PathBytes: 10_000, SpaceBytes: 300_000})
	for i := range 6 {
		p.write(put("count", fmt.Sprint(i)))
	}
	p.want("count", "4-1 3-1 2-1")
	for i := range 6 {
		p.write(put("bytes", fmt.Sprint(i, strings.Repeat(" ", 4500))))
	}
	p.want("bytes", "4        -1 3        -1")
	p.now += 50_000
	p.write(put("count", "6"))
	p.now += 50_000
	p.want("count", "5-1")
	const n = 400
	for i := range 30 * n {
		p.now++
		p.write(put(fmt.Sprint("p", i%n), fmt.Sprint(i, strings.Repeat("x", 300))))
		if i%5000 == 0 {
			p.open(p.s.history) // laps go on after a restart
		}
	}
	// 400 paths of 3 versions of about 400 bytes would be 480,000.
	if _, got := p.disk(""); got > 300_000*4/3+sweepEvery*500 {
		t.Errorf("%d bytes of history", got)
	}
	if p.s.swept.cut == 0 {
		t.Error("the bound of the space was never reached")
	}
	p.want("count", "")
	if got, _ := p.disk("15/count:"); got != 0 {
		t.Errorf("%d records of a path that aged are on disk", got)
	}
	first, last := p.texts("p0"), p.texts(fmt.Sprint("p", n-1))
	if last == "" || len(first) > len(last) {
		t.Errorf("the oldest went last: %q, %q", first, last)
	}
	p.open(HistoryBounds{Versions: -1})
	for i := range 5 {
		p.write(put("off", fmt.Sprint(i)))
	}
	p.want("off", "")
	if n, _ := p.disk(""); n > 0 || p.s.rest {
		t.Errorf("history is off and %d records stay", n)
	}
}

// TestTheBaseOfALiveValueStays: what a live value was written over is kept beyond the number of versions, in one commit and in many, until
// it ages, or another value takes the live one's place; and readers of history do not see it.
func TestTheBaseOfALiveValueStays(t *testing.T) {
	p := newPast(t, HistoryBounds{Versions: 2, Age: time.Hour})
	foreign := func(path string, counter uint64, preds ...crdt.Dot) {
		tx := p.s.Begin()
		tx.SetNow(p.now)
		d := crdt.Dot{Replica: rid(2), Counter: counter}
		op := &crdt.Op{Dot: d, Time: crdt.At(p.now), Entries: []crdt.OpEntry{{Path: path, Data: []byte("base"), Preds: preds, Descent: crdt.Descent{Since: counter, From: preds}}}}
		if counter == 1 {
			op.Open = []byte("o")
		}
		if _, err := crdt.Apply(tx, op); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(path string) (n int) {
		for v, err := range p.s.Kept(path) {
			if err != nil {
				t.Fatal(err)
			}
			if string(v.Value.Data) == "base" {
				n++
			}
		}
		return n
	}
	laps := func() {
		for i := range 4 * sweepEvery {
			p.write(put(fmt.Sprint("other", i%10), fmt.Sprint(i)))
		}
	}
	foreign("a", 1)
	foreign("b", 2)
	p.write(put("a", "1"), put("a", "2"), put("a", "3"), put("a", "4")) // one commit
	for i := range 4 {
		p.write(put("b", fmt.Sprint(i+1)))
	}
	laps()
	p.want("a", "3-1 2-1")
	p.want("b", "3-1 2-1")
	if kept("a") != 1 || kept("b") != 1 {
		t.Errorf("of the bases %d and %d are kept, want both", kept("a"), kept("b"))
	}
	if n, _ := p.disk("11/a:"); n != 3 {
		t.Errorf("%d records of one path, want 2 and the base", n)
	}
	reg, err := p.s.Get("b")
	if err != nil {
		t.Fatal(err)
	}
	foreign("b", 3, reg.Live[0].Dot) // what it was written over is the last value, not the base
	laps()
	if kept("b") != 0 {
		t.Error("the base of a value that is gone stays")
	}
	whole, err := p.ds.Get(context.Background(), datastore.RawKey("/d/a"))
	if err != nil {
		t.Fatal(err)
	}
	p.ds.Put(context.Background(), datastore.RawKey("/d/a"), []byte{9})
	laps()
	p.ds.Put(context.Background(), datastore.RawKey("/d/a"), whole) // as a repair does
	if kept("a") != 1 {
		t.Error("the base of a value that could not be read for a while is gone")
	}
	p.now += 2 * time.Hour.Milliseconds()
	laps()
	if kept("a") != 0 {
		t.Error("a base that aged stays")
	}
}

// TestHistoryCostsAShare: overwriting what was never swept reads a bounded number of entries for each write.
func TestHistoryCostsAShare(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	const n = 5000
	for i := range n {
		p.write(put(fmt.Sprint("p", i), "x"))
	}
	read := p.ds.EntriesRead()
	for i := range 4 * n {
		p.write(put(fmt.Sprint("p", i*7%n), fmt.Sprint(i)))
	}
	if got := (p.ds.EntriesRead() - read) / (4 * n); got > sweepShare+3 {
		t.Errorf("%d entries are read for a write", got)
	}
}

// disk counts what lies under a part of the keys of past values.
func (p *past) disk(part string) (records, bytes int) {
	for e, err := range datastore.QueryIter(context.Background(), p.ds, query.Query{}) {
		if err != nil {
			p.t.Fatal(err)
		}
		if strings.HasPrefix(e.Key, spacePast+part) {
			records++
			bytes += len(e.Key) + len(e.Value)
		}
	}
	return records, bytes
}

// TestHistoryOfLargeValues: a path of values of 1 MiB keeps 8 MiB for readers, and little more on disk.
func TestHistoryOfLargeValues(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	big := strings.Repeat("x", 1<<20-2)
	for i := range 40 {
		p.write(put("big", fmt.Sprintf("%02d", i)+big))
		if _, got := p.disk(""); got > HistoryPathBytes+2*sweepEvery*pageBytes {
			t.Fatalf("%d bytes of history after %d writes", got, i)
		}
	}
	if n := len(strings.Fields(p.texts("big"))); n != 7 { // 8 MiB less keys and records
		t.Errorf("%d versions", n)
	}
}

// TestFailedCommitKeepsHistoryRight: a commit that fails and is tried again writes each past value once.
func TestFailedCommitKeepsHistoryRight(t *testing.T) {
	p := newPast(t, HistoryBounds{Versions: 2})
	p.write(put("a", "0"))
	for i := range 3 * sweepEvery {
		fail := true
		p.ds.Inject(func(op mem.Op, _ int) error {
			if op == mem.OpCommit && fail || op == mem.OpScan && i%2 == 0 {
				fail = false
				return errors.New("no")
			}
			return nil
		})
		tx := p.s.Begin()
		if _, _, err := crdt.Write(tx, crdt.Writer{Dot: crdt.Dot{Replica: rid(1), Counter: tx.Context().Get(rid(1)) + 1}, Time: 9},
			[]crdt.Change{{Path: "a", Data: []byte("x"), ShownAll: true}}); err != nil {
			t.Fatal(err)
		}
		if tx.Commit() == nil {
			t.Fatal("the commit did not fail")
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	p.ds.Inject(nil)
	p.want("a", "x-1 x-1")
}

// TestGoldenHistory pins the records of a past value and of the sweep.
// TestASweepThatWasNotWrittenIsNotDone: a commit that is tried again without history on a full disk leaves the sweep to the next.
func TestASweepThatWasNotWrittenIsNotDone(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	for i := range 5 {
		p.write(put("a", fmt.Sprint(i)))
	}
	p.write(put("b", "x"))
	p.open(HistoryBounds{Versions: -1})
	p.ds.Inject(mem.DiskFull)
	p.write(crdt.Change{Path: "b", Delete: true})
	p.ds.Inject(nil)
	for i := range 5 {
		p.write(put("c", fmt.Sprint(i)))
	}
	if got := p.texts("a"); got != "" {
		t.Errorf("history is off, and %s is left", got)
	}
}

func TestGoldenHistory(t *testing.T) {
	p := newPast(t, HistoryBounds{})
	p.write(put("a", "1"), put("a", "2"))
	value, err := p.ds.Get(context.Background(), datastore.RawKey("/y/11/a:10"))
	const want = "01c0843d01" + "010000000000000102" + "0000000f42400000" + "00" + "02" + "010000000000000101" + "0000000f42400000" + "10000131"
	if got := hex.EncodeToString(value); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	w := sweep{next: "/y/11/a:15", began: 300, cut: 2, kept: [ageBuckets]int{0: 5, 17: 1}}
	const walk = "01ac02020a2f792f31312f613a313500051101"
	if got := hex.EncodeToString(appendSweep(nil, &w)); got != walk {
		t.Errorf("got %s, want %s", got, walk)
	}
}

// TestOlderLayoutIsRaised: a store of layout 1 is read, keeps what it holds, and has history from its first commit on.
func TestOlderLayoutIsRaised(t *testing.T) {
	ctx := context.Background()
	p := newPast(t, HistoryBounds{})
	p.write(put("a", "1"))
	head, err := p.ds.Get(ctx, datastore.RawKey(keyHead))
	if err != nil {
		t.Fatal(err)
	}
	older := append([]byte{1}, head[1:len(head)-1]...)
	p.ds.Put(ctx, datastore.RawKey(keyHead), older)
	p.ds.Put(ctx, datastore.RawKey(keyFormat), []byte{1, 1})
	p.open(HistoryBounds{})
	p.want("a", "")
	p.write(put("a", "2"))
	p.want("a", "1-1")
	if format, err := p.ds.Get(ctx, datastore.RawKey(keyFormat)); err != nil || !bytes.Equal(format, []byte{1, layoutVersion}) {
		t.Errorf("format %x, %v", format, err)
	}
}

// TestDamagedHistoryHarmsNothing: a damaged past value is named to who reads it; the others, the live values and writes do not mind.
func TestDamagedHistoryHarmsNothing(t *testing.T) {
	ctx := context.Background()
	p := newPast(t, HistoryBounds{})
	p.write(put("a", "1"), put("a", "2"), put("a", "3"))
	p.ds.Put(ctx, datastore.RawKey("/y/11/a:11"), []byte{9})
	p.ds.Put(ctx, datastore.RawKey(keySweep), []byte{9})
	p.open(HistoryBounds{})
	var damage *CorruptError
	if err := p.s.Check(); !errors.As(err, &damage) || damage.Key != "/y/11/a:11" {
		t.Errorf("check: %v", err)
	}
	var got []string
	for v, err := range p.s.History("a", p.now) {
		if damage = nil; err != nil && (!errors.As(err, &damage) || damage.Path != "a") {
			t.Errorf("history: %v", err)
		}
		got = append(got, string(v.Value.Data))
	}
	if strings.Join(got, ",") != ",1" {
		t.Errorf("%q", got)
	}
	for i := range 2 * sweepEvery { // the sweep comes by
		p.write(put("a", fmt.Sprint(i)))
	}
	if err := p.s.Check(); err != nil {
		t.Errorf("the damaged record should be gone: %v", err)
	}
}

// TestAgeBuckets: buckets are in the order of ages, and each begins where the one before ends.
func TestAgeBuckets(t *testing.T) {
	for i := range ageBuckets {
		age := bucketAge(i)
		if ageBucket(age) != i || i > 0 && ageBucket(age-1) != i-1 {
			t.Errorf("bucket %d begins at %d: %d, %d", i, age, ageBucket(age), ageBucket(age-1))
		}
	}
	if i := ageBucket(1<<64 - 1); i != ageBuckets-1 {
		t.Errorf("the greatest age is in bucket %d", i)
	}
}
