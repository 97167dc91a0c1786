package store

import (
	"bytes"
	"os"
	"testing"

	"syncline/crdt"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzRecords: whatever a decoder of a record accepts encodes to the same bytes.
func FuzzRecords(f *testing.F) {
	oldPast := appendPast(nil, &Past{At: 7, How: HowPut})
	oldPast = append(oldPast[:len(oldPast)-len(crdt.AppendValues(nil, []crdt.Value{{}}))], 1) // values of version 1
	oldPast = append(oldPast, crdt.AppendValues(nil, []crdt.Value{{Dot: crdt.Dot{Replica: rid(1), Counter: 3}}})[1:]...)
	for _, b := range [][]byte{
		appendFormat(nil), appendHead(nil, Head{Entries: 1, Bytes: 300, Deletes: 2, Clock: 5}),
		appendPast(nil, &Past{Value: crdt.Value{Dot: crdt.Dot{Replica: rid(1), Counter: 3}, Data: []byte("x")}, At: 7, How: HowPolicy, Policy: "json"}),
		appendSweep(nil, &sweep{next: spacePast + "11/a:15", began: 9, cut: 3, kept: [ageBuckets]int{3: 7, 40: 1}}),
		appendSeat(nil, seat{rid(1), 300, 2}), appendBlob(nil, []byte("x")),
		appendIncarnation(nil, incarnation{replica: rid(1)}),
		appendIncarnation(nil, incarnation{replica: rid(1), clean: true, nonce: [16]byte{1}}),
		crdt.Marshal(&savedToken{Version: 1, Replica: rid(1), Boot: "b"}),
		oldPast,
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(kind string, again []byte, err error) {
			if err == nil && !bytes.Equal(again, b) {
				t.Errorf("%s %x encodes to %x", kind, b, again)
			}
		}
		layout, err := decodeFormat(b)
		if layout == layoutVersion {
			same("format", appendFormat(nil), err)
		}
		h, err := decodeHead(b)
		if len(b) > 0 && b[0] == headVersion {
			same("head", appendHead(nil, h), err)
		}
		if p, err := decodePast(b); err == nil { // it reads values of version 1, which layout 3 wrote, and writes version 2
			again := appendPast(nil, &p)
			at := len(again) - len(crdt.AppendValues(nil, []crdt.Value{p.Value}))
			if len(b) == len(again) && b[at] == 1 {
				again[at] = 1
			}
			same("past value", again, nil)
		}
		if w, err := decodeSweep(b); err == nil {
			same("sweep", appendSweep(nil, w), nil)
		}
		s, err := decodeSeat(b)
		same("seat", appendSeat(nil, s), err)
		n, err := decodeIncarnation(b)
		same("incarnation", appendIncarnation(nil, n), err)
		data, err := decodeBlob(b)
		same("blob", appendBlob(nil, data), err)
		token, err := decodeToken(b)
		if err == nil {
			same("token", crdt.Marshal(&token), nil)
		}
	})
}

// FuzzKeys: whatever a decoder of a key accepts encodes to the same key.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"/v/10", "/o/2ff", "/i/10/15:a/b", "/x/33e8/11:/members/x", "/d/a", "/s/members/x", "/i/10/15:", "/i/10/10:a", "/y/13/a:b:15", "/y/11/a:10"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		same := func(again []byte) {
			if string(again) != key {
				t.Errorf("%q encodes to %q", key, again)
			}
		}
		for _, space := range []string{spaceReplica, spaceOpen} {
			if o, err := cutOrdinal(key, space); err == nil {
				same(appendOrdinalKey(nil, space, o))
			}
		}
		for _, space := range []string{spaceLive, spaceLog} {
			if o, counter, path, err := cutName(key, space); err == nil {
				same(appendNameKey(nil, space, o, counter, path))
			}
		}
		if path, pos, err := cutPastKey(key); err == nil {
			same(appendPastKey(nil, path, pos))
		}
		if path, ok := cutPath(key); ok {
			same(appendPath(nil, path))
		}
	})
}
