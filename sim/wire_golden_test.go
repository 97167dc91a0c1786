package sim_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"testing"

	"syncline/crdt"
)

// goldenMessages returns the messages that package gossip pins, by name.
func goldenMessages(t *testing.T) map[string][]byte {
	t.Helper()
	file, err := os.ReadFile("../gossip/golden_test.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, m := range regexp.MustCompile(`(?m)^\t"(\w+)": +"([0-9a-f]+)",$`).FindAllSubmatch(file, -1) {
		msg, err := hex.DecodeString(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		out[string(m[1])] = msg
	}
	return out
}

// TestMessagesAreReadAsGossipWritesThem: what this package takes apart by an account of its own comes out again as the bytes that package
// gossip pins. Else a mistake would be planted in something that no device says.
func TestMessagesAreReadAsGossipWritesThem(t *testing.T) {
	golden := goldenMessages(t)
	for name, m := range map[string]struct {
		kind byte
		into any
	}{
		"hello": {typeHello, new(helloMessage)}, "ok": {typeOK, new(plainMessage)}, "vector": {typeVector, new(vectorMessage)},
		"sketch": {typeVector, new(vectorMessage)}, "end": {typeEnd, new(endMessage)}, "ask": {typeAsk, new(askMessage)}, "dead": {typeDead, new(deadMessage)},
	} {
		msg := golden[name]
		if len(msg) < 2 || msg[1] != m.kind {
			t.Errorf("%s: the pinned bytes are %x, want a message of type %d", name, msg, m.kind)
			continue
		}
		if err := crdt.Unmarshal(msg, m.into); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := crdt.Marshal(m.into); !bytes.Equal(got, msg) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, msg)
		}
	}
	for name, kind := range map[string]byte{"rows": typeRows, "live": typeLive, "kill": typeKill} {
		rows, err := decodeRows(golden[name])
		if err != nil || len(rows) == 0 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		} else if got := encodeRows(kind, rows); !bytes.Equal(got, golden[name]) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, golden[name])
		}
	}
}
