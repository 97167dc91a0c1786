package sim_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/node"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
	"syncline/store"
	"syncline/store/mem"
)

var matrixFlag = flag.Bool("matrix", false, "run every negative control over all its seeds and print the whole kill matrix")

// A control is a mistake that is planted from outside, where no shipped program can switch it on, and the check that must notice.
type control struct {
	mistake string
	check   oracle.Check
	taps    func(s *scenario.Scenario) des.Taps
}

// controlSeeds is within how many seeds a mistake must be noticed.
const controlSeeds = 200

var controls = []control{
	{"the disk confirms a sync and makes nothing durable", oracle.Durability, lyingDisk},
	{"a write is acknowledged before the sync", oracle.Durability, earlyReply},
	{"a session says before the sync what it has", oracle.HeldClaim, earlySend},
	{"a replica id is continued after a crash", oracle.DotReuse, idContinued},
	{"a crash keeps the context of a batch and loses its data", oracle.Exact, contextAhead},
	{"the delete log is lost at a restart, without the floor", oracle.Exact, deletesLost},
	{"old entries of the index stay", oracle.Metadata, indexLeaks},
	{"the clock is not kept over a restart", oracle.ClockOrder, clockForgotten},
	{"an answer holds only the values that the receiver lacks", oracle.Exact, onlyLacked},
	{"an answer loses rows and keeps its context", oracle.LostUpdate, rowsLost},
	{"remembered deletes are not handed on", oracle.Exact, deletesNotHandedOn},
	{"the floor is not handed on", oracle.Exact, floorNotHandedOn},
	{"dead values below the floor are not named", oracle.SEC, killsNotSent},
	{"a value is damaged in a session", oracle.Phantom, valueDamaged},
	{"conflicts that a session brings are not reported", oracle.MissedConflict, sessionConflictsDropped},
	{"an operation does not name what its writer left alone", oracle.FalseConflict, alsoNotSent},
	{"an operation does not name what it supersedes", oracle.Causal, predsNotSent},
	{"an operation does not name the deletes that its writer knew", oracle.Causal, deletesNotNamed},
	{"an operation does not name the floor of its writer", oracle.Causal, depsNotSent},
	{"a transaction loses a part on the way", oracle.Atomic, transactionTorn},
	{"a value is changed in gossip", oracle.Phantom, gossipChanged},
	{"a value that won over a delete is not reported", oracle.DeleteUpdate, wonNotReported},
	{"an operation is handed on under another device's name", oracle.NoAlarm, authorForged},
	{"a write replaces values that its writer was not shown", oracle.LostUpdate, unseenReplaced},
	{"a write does not know what it replaces", oracle.FalseConflict, blindWrite},
	{"a condition is not looked at", oracle.Conditional, conditionIgnored},
	{"a write that failed is acknowledged", oracle.LostUpdate, failureAcknowledged},
	{"reads come from a cache", oracle.ReadYourWrites, staleReads},
	{"old conflicts are reported again after a restart", oracle.Finality, conflictsRepeated},
	{"a peer that was lost is given up", oracle.Convergence, peerGivenUp},
	{"devices that agree cannot stop talking", oracle.Quiescence, restless},
}

// TestControlsAreNoticed plants one mistake at a time and wants the check that is named for it to fail within controlSeeds seeds:
// without that, the silence of TestSeeds would prove nothing.
func TestControlsAreNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("the mistakes are planted in the long test")
	}
	var lines []string
	for _, c := range controls {
		t.Run(c.mistake, func(t *testing.T) {
			noticed, seeds, checks := c.run()
			lines = append(lines, fmt.Sprintf("%-62s %-16s %3d of %3d seeds, by %s", c.mistake, c.check, noticed, seeds, checks))
			if noticed == 0 {
				t.Errorf("nobody noticed in %d seeds by %q that %s; the checks that failed: %s", seeds, c.check, c.mistake, checks)
			}
		})
	}
	t.Logf("the mistake, the check named for it, and who noticed:\n%s", strings.Join(lines, "\n"))
}

// run counts the seeds in which the named check failed, until a few have, or over all seeds for the whole matrix.
func (c *control) run() (noticed, seeds int, checks string) {
	counts := map[oracle.Check]int{}
	for seeds < controlSeeds && (noticed == 0 || *matrixFlag) {
		w := sweep(1+uint64(seeds), 2*sweepWorkers, 0, func(s *scenario.Scenario) des.Options { return des.Options{Taps: c.taps(s)} })
		seeds += w.seeds
		for check, n := range w.checks {
			counts[check] += n
		}
		noticed = counts[c.check]
	}
	var parts []string
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b oracle.Check) int { return counts[b] - counts[a] }) {
		parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
	}
	return noticed, seeds, strings.Join(parts, ", ")
}

func lyingDisk(*scenario.Scenario) des.Taps {
	return diskTap(diskOf{sync: func(func() error) error { return nil }})
}

func earlyReply(*scenario.Scenario) des.Taps {
	return des.Taps{Early: func(_ int, out node.Output) bool { _, ok := out.(node.Reply); return ok }}
}

func earlySend(*scenario.Scenario) des.Taps {
	return des.Taps{Early: func(_ int, out node.Output) bool { _, ok := out.(node.Send); return ok }}
}

// A diskOf is a disk with something wrong.
type diskOf struct {
	des.Disk
	// value changes what is read under a key; write says whether an entry is written, and delete whether it is deleted.
	value         func(key string, value []byte) []byte
	write, delete func(key string) bool
	// sync stands for a sync, which it is given.
	sync func(sync func() error) error
}

// diskTap gives every device a disk with something wrong.
func diskTap(wrong diskOf) des.Taps {
	return des.Taps{Datastore: func(_ int, d des.Disk) datastore.Batching {
		disk := wrong
		disk.Disk = d
		return &disk
	}}
}

func (d *diskOf) Sync(ctx context.Context, key datastore.Key) error {
	sync := func() error { return d.Disk.Sync(ctx, key) }
	if d.sync != nil {
		return d.sync(sync)
	}
	return sync()
}

func (d *diskOf) Get(ctx context.Context, key datastore.Key) ([]byte, error) {
	v, err := d.Disk.Get(ctx, key)
	if err == nil && d.value != nil {
		v = d.value(key.String(), v)
	}
	return v, err
}

func (d *diskOf) AppendValue(ctx context.Context, dst, key []byte) ([]byte, bool, error) {
	v, found, err := d.Disk.AppendValue(ctx, nil, key)
	if err == nil && found && d.value != nil {
		v = d.value(string(key), v)
	}
	return append(dst, v...), found, err
}

func (d *diskOf) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Disk.Batch(ctx)
	return &batchOf{b, d}, err
}

type batchOf struct {
	datastore.Batch
	d *diskOf
}

func (b *batchOf) Put(ctx context.Context, key datastore.Key, value []byte) error {
	if b.d.write != nil && !b.d.write(key.String()) {
		return nil
	}
	return b.Batch.Put(ctx, key, value)
}

func (b *batchOf) Delete(ctx context.Context, key datastore.Key) error {
	if b.d.delete != nil && !b.d.delete(key.String()) {
		return nil
	}
	return b.Batch.Delete(ctx, key)
}

// The keys of a store that mistakes are made with.
const (
	keyIncarnation = "/n"
	keyHead        = "/h"
	seats          = "/v/"
	liveIndex      = "/i/"
	deleteRecords  = "/r"
	deleteIndex    = "/x/"
)

// A tokenOf finds a token that says whatever the data say.
type tokenOf struct {
	store.BootToken
	disk *mem.Datastore
}

func (t tokenOf) Load() (store.Token, bool, error) {
	own, err := t.disk.Get(context.Background(), datastore.RawKey(keyIncarnation))
	if err != nil {
		return store.Token{}, false, nil
	}
	out := store.Token{Replica: crdt.ReplicaID(own[2:10]), Nonce: [16]byte(own[10:26])}
	err = t.disk.Range(context.Background(), []byte(seats), []byte("/v0"), func(_, value []byte) bool {
		if crdt.ReplicaID(value[1:9]) == out.Replica {
			out.Counter, _ = binary.Uvarint(value[9:])
		}
		return true
	})
	return out, true, err
}

func idContinued(*scenario.Scenario) des.Taps {
	clean := func(key string, value []byte) []byte {
		if key == keyIncarnation && len(value) > 1 {
			value[1] = 1
		}
		return value
	}
	taps := diskTap(diskOf{value: clean})
	taps.Token = func(_ int, ds *mem.Datastore, t store.BootToken) store.BootToken { return tokenOf{t, ds} }
	return taps
}

// entriesUnder copies the entries whose keys begin with a prefix.
func entriesUnder(ds *mem.Datastore, prefix string) map[string][]byte {
	out := map[string][]byte{}
	ds.Range(context.Background(), []byte(prefix), nil, func(key, value []byte) bool {
		if !strings.HasPrefix(string(key), prefix) {
			return false
		}
		out[string(key)] = slices.Clone(value)
		return true
	})
	return out
}

func contextAhead(*scenario.Scenario) des.Taps {
	return des.Taps{Crash: func(_ int, ds *mem.Datastore, keep int) {
		ahead := entriesUnder(ds, seats)
		ds.Crash(keep)
		if len(entriesUnder(ds, "/m")) == 0 {
			return
		}
		for key, value := range ahead {
			ds.Put(context.Background(), datastore.RawKey(key), value)
		}
		ds.Sync(context.Background(), datastore.RawKey("/"))
	}}
}

func deletesLost(*scenario.Scenario) des.Taps {
	return des.Taps{Crash: func(_ int, ds *mem.Datastore, keep int) {
		ds.Crash(keep)
		for _, prefix := range []string{deleteRecords, deleteIndex} {
			for key := range entriesUnder(ds, prefix) {
				ds.Delete(context.Background(), datastore.RawKey(key))
			}
		}
		ds.Sync(context.Background(), datastore.RawKey("/"))
	}}
}

func indexLeaks(*scenario.Scenario) des.Taps {
	keep := func(key string) bool { return !strings.HasPrefix(key, liveIndex) }
	return diskTap(diskOf{delete: keep})
}

func clockForgotten(*scenario.Scenario) des.Taps {
	zero := func(key string, value []byte) []byte {
		if key == keyHead {
			clear(value[33:41])
		}
		return value
	}
	return diskTap(diskOf{value: zero})
}

func rowsTap(x *rowsEditor) des.Taps { return des.Taps{Session: x.session} }

func onlyLacked(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) { r.Known = nil }})
}

func rowsLost(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		if r.Path == "p0" {
			r.Values, r.Deletes = nil, nil
		}
	}})
}

func deletesNotHandedOn(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		if len(r.Values) > 0 {
			r.Deletes = nil
		}
	}})
}

func floorNotHandedOn(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{end: func(e *endMessage) { e.Floor = []byte{} }})
}

func killsNotSent(*scenario.Scenario) des.Taps { return rowsTap(&rowsEditor{noKills: true}) }

func valueDamaged(*scenario.Scenario) des.Taps {
	return rowsTap(&rowsEditor{row: func(r *crdt.Row) {
		for i := range r.Values {
			r.Values[i].Data = append(slices.Clone(r.Values[i].Data), '!')
		}
	}})
}

// outputTap changes the reports of changes in steps of one phase.
func outputTap(phase des.Phase, edit func(c *node.Changed)) des.Taps {
	return des.Taps{Output: func(_ int, how des.Phase, out []node.Output) []node.Output {
		for i, x := range out {
			if c, ok := x.(node.Changed); ok && how == phase {
				edit(&c)
				out[i] = c
			}
		}
		return out
	}}
}

func sessionConflictsDropped(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseSession, func(c *node.Changed) { c.Conflicts = nil })
}

func wonNotReported(*scenario.Scenario) des.Taps {
	return outputTap(des.PhaseGossip, func(c *node.Changed) {
		c.Conflicts = slices.DeleteFunc(slices.Clone(c.Conflicts), func(c crdt.Conflict) bool {
			return c.Local.Dot.Counter == 0 || c.Remote.Dot.Counter == 0
		})
	})
}

// gossipTap changes operations on their way.
func gossipTap(edit func(op *crdt.Op)) des.Taps {
	return des.Taps{Gossip: func(_, _ int, encoded []byte) []byte {
		op, err := crdt.DecodeOp(encoded)
		if err != nil {
			return encoded
		}
		edit(op)
		return op.Encode()
	}}
}

func entriesTap(edit func(e *crdt.OpEntry)) des.Taps {
	return gossipTap(func(op *crdt.Op) {
		for i := range op.Entries {
			edit(&op.Entries[i])
		}
	})
}

func alsoNotSent(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) { e.Also = nil })
}

func predsNotSent(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) {
		if !e.Delete {
			e.Preds = nil
		}
	})
}

func deletesNotNamed(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) { e.PredDeletes = nil })
}

func depsNotSent(*scenario.Scenario) des.Taps {
	return gossipTap(func(op *crdt.Op) { op.Deps = crdt.Vector{} })
}

func transactionTorn(*scenario.Scenario) des.Taps {
	return gossipTap(func(op *crdt.Op) {
		if len(op.Entries) > 1 {
			op.Entries = op.Entries[:len(op.Entries)-1]
		}
	})
}

func gossipChanged(*scenario.Scenario) des.Taps {
	return entriesTap(func(e *crdt.OpEntry) {
		if !e.Delete && !strings.HasSuffix(string(e.Data), "!") {
			e.Data = append(e.Data, '!')
		}
	})
}

func authorForged(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if ops, ok := in.(node.Ops); ok {
			ops.Author = ops.From
			return ops
		}
		return in
	}}
}

// writeTap changes what replicas are asked to write.
func writeTap(edit func(op *node.WriteOp)) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if w, ok := in.(node.Write); ok {
			w.Ops = slices.Clone(w.Ops)
			for i := range w.Ops {
				edit(&w.Ops[i])
			}
			return w
		}
		return in
	}}
}

func unseenReplaced(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) { op.All = !op.Sibling })
}

func blindWrite(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) { op.Sibling = !op.Delete })
}

func conditionIgnored(*scenario.Scenario) des.Taps {
	return writeTap(func(op *node.WriteOp) {
		if op.IfVersion != "" {
			op.IfVersion, op.All = "", true
		}
	})
}

func failureAcknowledged(*scenario.Scenario) des.Taps {
	return des.Taps{Output: func(_ int, _ des.Phase, out []node.Output) []node.Output {
		for i, x := range out {
			if r, ok := x.(node.Reply); ok && r.Err != nil && r.Err.Is(node.ErrDiskFull) {
				out[i] = node.Reply{Tag: r.Tag}
			}
		}
		return out
	}}
}

func staleReads(s *scenario.Scenario) des.Taps {
	type key struct {
		device int
		path   string
	}
	cache := map[key][]crdt.Value{}
	return des.Taps{Read: func(device int, path string, live []crdt.Value) []crdt.Value {
		k := key{device, path}
		if old, ok := cache[k]; ok {
			return old
		}
		cache[k] = live
		return live
	}}
}

func conflictsRepeated(s *scenario.Scenario) des.Taps {
	told := make([][]crdt.Conflict, len(s.Devices))
	return des.Taps{Output: func(device int, how des.Phase, out []node.Output) []node.Output {
		for _, x := range out {
			if c, ok := x.(node.Changed); ok {
				told[device] = append(told[device], c.Conflicts...)
			}
		}
		if how == des.PhaseStart {
			for _, c := range told[device] {
				out = append(out, node.Changed{Paths: []string{c.Path}, Conflicts: []crdt.Conflict{c}})
			}
		}
		return out
	}}
}

func peerGivenUp(s *scenario.Scenario) des.Taps {
	lost := make([]map[gossip.DeviceID]bool, len(s.Devices))
	return des.Taps{Input: func(device int, in node.Input) node.Input {
		if lost[device] == nil {
			lost[device] = map[gossip.DeviceID]bool{}
		}
		switch in := in.(type) {
		case node.PeerDown:
			lost[device][in.Peer] = true
		case node.PeerUp:
			if lost[device][in.Peer] {
				return nil
			}
		}
		return in
	}}
}

func restless(*scenario.Scenario) des.Taps {
	return des.Taps{Input: func(_ int, in node.Input) node.Input {
		if _, ok := in.(node.Tick); ok {
			return node.Lost{}
		}
		return in
	}}
}
