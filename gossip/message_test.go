package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"syncline/crdt"
)

// goldenMessages holds one message of each type. A change of these bytes is a change of ProtocolVersion.
func goldenMessages() map[string][]byte {
	w := newWorld(nil, "A", "B")
	a := crdt.Vector{}
	a.Add(crdt.Dot{Replica: replicaID(1), Counter: 300})
	vec, none := crdt.AppendVector([]byte{}, a), []byte{}
	hash, digest := a.Hash(), w.devices[0].Digest().Short()
	return map[string][]byte{
		"hello":  crdt.Marshal(&hello{Type: msgHello, Version: ProtocolVersion, Hash: hash, Digest: digest, Wall: wallMillis, Vector: vec, Floor: none}),
		"ok":     crdt.Marshal(&plain{Type: msgOK, Wall: wallMillis}),
		"vector": crdt.Marshal(&vector{Type: msgVector, Vector: vec, Floor: vec}),
		"rows":   encodeRows(msgRows, sampleRows()),
		"end":    crdt.Marshal(&end{Type: msgEnd, Asked: hash, Context: vec, Floor: none, Rows: 3, Kills: 1, Opens: 2, Hash: hash, Digest: digest}),
		"ask":    crdt.Marshal(&ask{Type: msgAsk, Vector: vec, Rows: 2}),
		"live":   encodeRows(msgLive, nameRows([]crdt.Name{{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}})),
		"kill":   encodeRows(msgKill, nameRows([]crdt.Name{{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}})),
		"done":   crdt.Marshal(&done{Type: msgDone, Hash: hash}),
		"busy":   crdt.Marshal(&plain{Type: msgBusy, Wall: wallMillis}),
		"bye":    crdt.Marshal(&bye{Type: msgBye, Code: "rolled_back", Text: "set back"}),
		"opens":  crdt.Marshal(&opens{Type: msgOpens, Opens: []wireOpen{{Replica: replicaID(1), Open: []byte("binding")}}}),
	}
}

func TestMessagesHaveTheirBytes(t *testing.T) {
	got := goldenMessages()
	if *goldenFlag {
		for name, msg := range got {
			fmt.Printf("\t%q: %q,\n", name, fmt.Sprintf("%x", msg))
		}
	}
	for name, want := range golden {
		if !bytes.Equal(got[name], unhex(t, want)) {
			t.Errorf("%s:\n got %x\nwant %s", name, got[name], want)
		}
	}
	if len(golden) != len(got) {
		t.Errorf("%d messages are pinned, want %d", len(golden), len(got))
	}
}

// FuzzReceive feeds two arbitrary messages to a session that has come to any point: nothing panics, every error is one of
// decoding, and no delta is handed out whose rows do not fit.
func FuzzReceive(f *testing.F) {
	for _, msg := range goldenMessages() {
		f.Add(uint8(0), msg, []byte{})
	}
	_, m := exchange(f)
	if err := m.run(); err != nil {
		f.Fatal(err)
	}
	for i, s := range m.sent {
		f.Add(uint8(i), s.bytes, m.sent[(i+1)%len(m.sent)].bytes)
	}
	f.Fuzz(func(t *testing.T, at uint8, first, second []byte) {
		_, m := exchange(t)
		play(t, m, int(at%16)/2)
		end := int(at % 2)
		d := m.devices[end]
		for _, msg := range [][]byte{first, second} {
			delta, err := m.sessions[end].Receive(d, msg)
			if err != nil {
				if !errors.Is(err, crdt.ErrDecode) && !isVersion(err) {
					t.Fatalf("the error is %v", err)
				}
				return
			}
			if delta != nil {
				if err := checkDelta(delta); err != nil {
					t.Fatal(err)
				}
				if _, err := crdt.Join(d.State, delta); err != nil {
					t.Fatal(err)
				}
				if err := d.Check(); err != nil {
					t.Fatal(err)
				}
				m.sessions[end].Committed(d)
			}
			for m.sessions[end].Next() != nil {
			}
		}
	})
}
