package docs

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ipfs/go-datastore/query"

	"syncline/crdt"
	"syncline/gossip"
	"syncline/store"
	"syncline/store/mem"
)

// The world of the examples in PROTOCOL.md: two replicas, a second apart, the wall clock of both standing at the first write.
const (
	exampleMillis = 1_700_000_000_000
	textType      = "text/plain; charset=utf-8"
)

var laptop, desktop = crdt.ReplicaID{0xa0, 7: 1}, crdt.ReplicaID{0xb0, 7: 1}

func exampleWrite(t *testing.T, b crdt.Base, r crdt.ReplicaID, second int64, changes ...crdt.Change) *crdt.Op {
	t.Helper()
	w := crdt.Writer{Dot: crdt.Dot{Replica: r, Counter: b.Context().Get(r) + 1}, Time: crdt.At(exampleMillis + 1000*second)}
	if w.Dot.Counter == 1 {
		w.Open = []byte("binding")
	}
	op, _, err := crdt.Write(b, w, changes)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// An end is one side of a session between states in memory.
type end struct {
	state   *crdt.State
	session *gossip.Session
}

// session runs a session to its end and returns its messages.
func session(t *testing.T, initiator, responder *end, believedEqual bool) (msgs [][]byte) {
	t.Helper()
	replica := map[*end]crdt.ReplicaID{initiator: laptop, responder: desktop}
	for _, e := range []*end{initiator, responder} {
		dot := crdt.Dot{Replica: replica[e], Counter: e.state.Context().Get(replica[e])}
		if dot.Counter == 0 {
			dot = crdt.Dot{}
		}
		e.session = gossip.NewSession(gossip.SessionConfig{Initiator: e == initiator, BelievedEqual: believedEqual, Replica: dot, WallMillis: exampleMillis})
	}
	initiator.session.Start(initiator.state)
	silent := 0
	for from, to := initiator, responder; !initiator.session.Finished() || !responder.session.Finished(); from, to = to, from {
		if silent++; silent > 2 {
			t.Fatal("both ends wait for each other")
		}
		for msg := from.session.Next(); msg != nil; msg = from.session.Next() {
			msgs, silent = append(msgs, msg), 0
			delta, err := to.session.Receive(to.state, msg)
			if err != nil {
				t.Fatal(err)
			}
			if delta == nil {
				continue
			}
			if _, err := crdt.Join(to.state, delta); err != nil {
				t.Fatal(err)
			}
			to.session.Committed(to.state)
		}
	}
	return msgs
}

// examples returns the bytes of every example that the tests can make anew, by the words after its fence.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	a, b := &end{state: crdt.NewState()}, &end{state: crdt.NewState()}
	exampleWrite(t, a.state, laptop, 0, crdt.Change{Path: "hello", Type: textType, Data: []byte("world")})
	exampleWrite(t, b.state, desktop, 1, crdt.Change{Path: "notes/todo", Type: textType, Data: []byte("buy milk")})
	msgs := session(t, a, b, false)
	for i, msg := range msgs {
		out[fmt.Sprintf("session differ %d", i+1)] = msg
	}
	msgs = session(t, a, b, true)
	for i, msg := range msgs {
		out[fmt.Sprintf("session equal %d", i+1)] = msg
	}
	exampleWrite(t, a.state, laptop, 2, crdt.Change{Path: "notes/todo", Delete: true, ShownAll: true})
	if err := crdt.Trim(a.state, 0); err != nil {
		t.Fatal(err)
	}
	msgs = session(t, a, b, false)
	for i, msg := range msgs {
		out[fmt.Sprintf("session below %d", i+1)] = msg
	}
	for key, value := range exampleStore(t) {
		out["store "+key] = value
	}
	return out
}

// exampleStore returns the records of a store that has seen two operations.
func exampleStore(t *testing.T) map[string][]byte {
	t.Helper()
	ctx := context.Background()
	ds := mem.New()
	s, err := store.Open(ctx, ds, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	tx.SetIncarnation(laptop)
	exampleWrite(t, tx, laptop, 0, crdt.Change{Path: "hello", Type: textType, Data: []byte("world")}, crdt.Change{Path: "old", Data: []byte("x")})
	tx.SetClock(crdt.At(exampleMillis))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx = s.Begin()
	exampleWrite(t, tx, laptop, 1, crdt.Change{Path: "old", Delete: true, ShownAll: true})
	if err := tx.SetMeta("held/peer", []byte{1}); err != nil {
		t.Fatal(err)
	}
	tx.SetClock(crdt.At(exampleMillis + 1000))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	results, err := ds.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := results.Rest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		out[e.Key] = e.Value
	}
	return out
}

var hexForm = regexp.MustCompile(`^(?:[0-9a-f]{2})+$`)

// hexOf joins what stands before the first space of each line of a block.
func hexOf(t *testing.T, b block) []byte {
	t.Helper()
	var digits strings.Builder
	for _, line := range b.lines {
		word, _, _ := strings.Cut(line, " ")
		if word != "" && !hexForm.MatchString(word) {
			t.Fatalf("%s: %q is not hexadecimal", b.file, word)
		}
		digits.WriteString(word)
	}
	out, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestExamplesAreWhatTheProgramWrites: the bytes in the documents are those of the golden files, of other tests, or of a run here.
func TestExamplesAreWhatTheProgramWrites(t *testing.T) {
	made := examples(t)
	found := 0
	for _, file := range documents(t) {
		for _, b := range fenced(t, file, "hex") {
			found++
			switch kind := b.info[0]; kind {
			case "golden":
				checkGolden(t, b)
			case "source":
				checkSource(t, b)
			default:
				name := strings.Join(b.info, " ")
				if want, ok := made[name]; !ok {
					t.Errorf("%s: there is no example %q", file, name)
				} else if got := hexOf(t, b); !bytes.Equal(got, want) {
					t.Errorf("%s: example %q is\n%x, the program writes\n%x", file, name, got, want)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no example was found")
	}
}

// checkGolden compares a block "golden FILE NAME" with the line of that name.
func checkGolden(t *testing.T, b block) {
	file, name := b.info[1], strings.Join(b.info[2:], " ")
	for _, line := range readLines(t, filepath.Join(root, file)) {
		if have, digits, ok := strings.Cut(line, ": "); ok && have == name {
			if got := hex.EncodeToString(hexOf(t, b)); got != digits {
				t.Errorf("%s: %s of %s is\n%s, the file has\n%s", b.file, name, file, got, digits)
			}
			return
		}
	}
	t.Errorf("%s: %s has no line %q", b.file, file, name)
}

// checkSource compares a block "source FILE" with the hexadecimal literals of that file, put together.
func checkSource(t *testing.T, b block) {
	text, err := os.ReadFile(filepath.Join(root, b.info[1]))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for _, m := range regexp.MustCompile(`"([0-9a-f]+)"`).FindAllStringSubmatch(string(text), -1) {
		digits.WriteString(m[1])
	}
	if want := hex.EncodeToString(hexOf(t, b)); !strings.Contains(digits.String(), want) {
		t.Errorf("%s: %s does not hold\n%s", b.file, b.info[1], want)
	}
}

// TestGoCodeIsCompiled: every block of Go in the documents stands in a test of this package, line by line or as the body of a function.
func TestGoCodeIsCompiled(t *testing.T) {
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	compiled := "\n"
	for _, file := range tests {
		for _, line := range readLines(t, file) {
			compiled += line + "\n"
		}
	}
	found := 0
	for _, file := range documents(t) {
		for _, b := range fenced(t, file, "go") {
			found++
			body := ""
			for _, line := range b.lines {
				if line != "" {
					line = "\t" + line
				}
				body += line + "\n"
			}
			if code := strings.Join(b.lines, "\n"); !strings.Contains(compiled, "\n"+code+"\n") && !strings.Contains(compiled, "{\n"+body+"}\n") {
				t.Errorf("%s: no test of package docs has this code:\n%s", file, code)
			}
		}
	}
	if found == 0 {
		t.Error("no block of Go was found")
	}
}
