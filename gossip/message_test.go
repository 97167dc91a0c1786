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
	name := crdt.Name{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}
	names, item := newNameSet(hash, 2), nameItem(hash, name)
	names.add(name)
	return map[string][]byte{
		"hello":  crdt.Marshal(&hello{Type: msgHello, Version: ProtocolVersion, Hash: hash, Digest: digest, Wall: wallMillis, Form: formWhole, Entries: vec, Top: none}),
		"ok":     crdt.Marshal(&plain{Type: msgOK, Wall: wallMillis}),
		"vector": crdt.Marshal(&vector{Type: msgVector, Hash: hash, Form: formWhole, Entries: vec, Top: vec}),
		"rows":   encodeRows(msgRows, sampleRows()),
		"end":    crdt.Marshal(&end{Type: msgEnd, Asked: hash, Context: vec, Floor: none, Rows: 3, Kills: 1, Opens: 2, Hash: hash, Digest: digest, To: "q"}),
		"ask":    crdt.Marshal(&ask{Type: msgAsk, Vector: vec, Rows: 2, From: "p", To: "q", Listed: listedSketch, Sketch: names.append([]byte{}, 2)}),
		"live":   encodeRows(msgLive, nameRows([]crdt.Name{{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}})),
		"kill":   encodeRows(msgKill, nameRows([]crdt.Name{{Dot: crdt.Dot{Replica: replicaID(1), Counter: 3}, Path: "p"}})),
		"done":   crdt.Marshal(&done{Type: msgDone, Hash: hash}),
		"busy":   crdt.Marshal(&plain{Type: msgBusy, Wall: wallMillis}),
		"bye":    crdt.Marshal(&bye{Type: msgBye, Code: "rolled_back", Text: "set back"}),
		"opens":  crdt.Marshal(&opens{Type: msgOpens, Opens: []wireOpen{{Replica: replicaID(1), Open: []byte("binding")}}}),
		"sketch": crdt.Marshal(&vector{Type: msgVector, Hash: hash, Form: formSketch, Entries: sketchVector(a, hash, 2).Append([]byte{}, 0), Top: none}),
		"more":   crdt.Marshal(&more{Type: msgMore, Symbols: 128}),
		"floor":  crdt.Marshal(&floor{Type: msgFloor, Floor: vec}),
		"dead":   crdt.Marshal(&dead{Type: msgDead, Items: item[:]}),
		"left":   crdt.Marshal(&left{Type: msgLeft, Path: "p"}),
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

// TestMessagesAreThoseOfTheProfile says that what is written by hand is what crdt.Marshal writes, and that the decoders take nothing
// that crdt.Unmarshal refuses.
func TestMessagesAreThoseOfTheProfile(t *testing.T) {
	forms := map[string]func() (m encoder, decode func([]byte) error){
		"hello": func() (encoder, func([]byte) error) {
			m := &hello{}
			return m, func(b []byte) error {
				h, err := decodeHello(b)
				*m = *h
				return err
			}
		},
		"ok":     func() (encoder, func([]byte) error) { m := &plain{}; return m, m.decode },
		"vector": func() (encoder, func([]byte) error) { m := &vector{}; return m, m.decode },
		"rows":   func() (encoder, func([]byte) error) { m := &wireRows{}; return m, m.decode },
		"end":    func() (encoder, func([]byte) error) { m := &end{}; return m, m.decode },
		"ask":    func() (encoder, func([]byte) error) { m := &ask{}; return m, m.decode },
		"more":   func() (encoder, func([]byte) error) { m := &more{}; return m, m.decode },
		"floor":  func() (encoder, func([]byte) error) { m := &floor{}; return m, m.decode },
		"dead":   func() (encoder, func([]byte) error) { m := &dead{}; return m, m.decode },
		"left":   func() (encoder, func([]byte) error) { m := &left{}; return m, m.decode },
		"done":   func() (encoder, func([]byte) error) { m := &done{}; return m, m.decode },
		"bye":    func() (encoder, func([]byte) error) { m := &bye{}; return m, m.decode },
		"opens":  func() (encoder, func([]byte) error) { m := &opens{}; return m, m.decode },
	}
	messages := goldenMessages()
	for name, form := range forms {
		msg := messages[name]
		m, decode := form()
		if err := decode(msg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.encode(); !bytes.Equal(got, msg) || !bytes.Equal(crdt.Marshal(m), msg) {
			t.Errorf("%s: by hand %x, the library %x, want %x", name, got, crdt.Marshal(m), msg)
		}
		// Every message with one byte changed, added or taken away is taken by both or by none.
		for i := range len(msg) {
			for _, change := range []byte{0x01, 0x18, 0x20, 0x80, 0xff} {
				broken := bytes.Clone(msg)
				broken[i] ^= change
				if name == "hello" && i == 2 {
					continue // another version is named before the shape is looked at
				}
				m, decode := form()
				byHand := decode(broken)
				library, _ := form()
				if err := crdt.Unmarshal(broken, library); (err == nil) != (byHand == nil) || err == nil && !bytes.Equal(crdt.Marshal(m), broken) {
					t.Errorf("%s, byte %d by %#x: by hand %v, the library %v", name, i, change, byHand, err)
				}
			}
		}
		for _, broken := range [][]byte{msg[:len(msg)-1], append(bytes.Clone(msg), 0)} {
			if _, decode := form(); decode(broken) == nil {
				t.Errorf("%s of %d bytes is taken, it has %d", name, len(broken), len(msg))
			}
		}
	}
}

// FuzzReceive feeds two arbitrary messages to a session that has come to any point: nothing panics, every error is one of
// decoding, and no delta is handed out whose rows do not fit.
func FuzzReceive(f *testing.F) {
	for _, msg := range goldenMessages() {
		f.Add(uint8(0), msg, []byte{})
	}
	for symbols := range 2 {
		_, m := exchange(f, symbols)
		if err := m.run(); err != nil {
			f.Fatal(err)
		}
		for i, s := range m.sent {
			f.Add(uint8(2*i+symbols), s.bytes, m.sent[(i+1)%len(m.sent)].bytes)
		}
	}
	f.Fuzz(func(t *testing.T, at uint8, first, second []byte) {
		_, m := exchange(t, int(at%2))
		play(t, m, int(at%64)/4)
		end := int(at/2) % 2
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
				if err := m.sessions[end].Committed(d); err != nil {
					t.Fatal(err)
				}
			}
			for m.sessions[end].Next() != nil {
			}
		}
	})
}
