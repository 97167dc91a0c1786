package p2p

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"syncline/gossip"
)

func testSpace(t testing.TB, name string, members ...ed25519.PrivateKey) *space {
	t.Helper()
	s, err := newSpace(testAccess(name, members...))
	must(t, err)
	return s
}

func TestFrameRoundTrip(t *testing.T) {
	key := testKey("a")
	s := testSpace(t, "one", key)
	ops := [][]byte{[]byte("first"), bytes.Repeat([]byte("2"), 300), {0}}
	frame := sealFrame(s, key, ops)
	author, got, err := openFrame(s, frame)
	must(t, err)
	if author != deviceOfKey(key) || !slices.EqualFunc(got, ops, bytes.Equal) {
		t.Fatalf("opened %x by %v", got, author)
	}
	if overhead := len(frame) - 5 - 300 - 1; overhead != frameMinimum+1+2+1 {
		t.Errorf("three operations cost %d bytes of frame", overhead)
	}
}

// The bytes of a frame are a wire format: a change here is a change of protocol.
func TestFrameGolden(t *testing.T) {
	key := testKey("a")
	frame := sealFrame(testSpace(t, "one", key), key, [][]byte{[]byte("put"), []byte("x")})
	const want = "64a13832778257e0d97b0b27d8186fccdb5f9286dce287423e59dd28b23fe329" + // signature
		"dde001dd8c4f263da932a9dfd9a7933b7bbd53c6f67e140da38a31ab62c8530c" +
		"a5837827" + // author, sealed
		"813a2444e81d" + // two operations, sealed
		"c2640130fef7d38d7eb3261ebe4533fc" // authentication
	if got := hex.EncodeToString(frame); got != want {
		t.Errorf("frame is\n%s, want\n%s", got, want)
	}
}

// Every bit of a frame matters, and so does every byte of its length.
func TestTamperedFrameIsRejected(t *testing.T) {
	key := testKey("a")
	s := testSpace(t, "one", key)
	frame := sealFrame(s, key, [][]byte{[]byte("op")})
	for i := range frame {
		bad := bytes.Clone(frame)
		bad[i] ^= 1
		if _, _, err := openFrame(s, bad); err == nil {
			t.Fatalf("byte %d changed and the frame still opens", i)
		}
		if _, _, err := openFrame(s, frame[:i]); err == nil {
			t.Fatalf("the first %d bytes open as a frame", i)
		}
	}
	if _, _, err := openFrame(s, append(frame, 0)); err == nil {
		t.Fatal("a byte was added and the frame still opens")
	}
}

// A frame opens in its own space, under its own key, and only if a member signed it.
func TestFrameIsBoundToSpaceKeyAndAuthor(t *testing.T) {
	a, b := testKey("a"), testKey("b")
	s := testSpace(t, "one", a)
	frame := sealFrame(s, a, [][]byte{[]byte("op")})
	if _, _, err := openFrame(testSpace(t, "two", a), frame); !errors.Is(err, errFrameSeal) {
		t.Errorf("in another space: %v", err)
	}
	access := testAccess("one", a)
	access.Key[0]++
	rotated, err := newSpace(access)
	must(t, err)
	if _, _, err := openFrame(rotated, frame); !errors.Is(err, errFrameSeal) {
		t.Errorf("under another key: %v", err)
	}
	if _, _, err := openFrame(testSpace(t, "one", b), frame); !errors.Is(err, errFrameAuthor) {
		t.Errorf("by a device that is no member: %v", err)
	}
	// A member that knows the key but not the author's device key.
	impostor := forge(t, s, b, deviceOfKey(a))
	if _, _, err := openFrame(s, impostor); !errors.Is(err, errFrameSignature) {
		t.Errorf("signed by somebody else: %v", err)
	}
}

// forge seals a frame that claims an author whose key it does not have.
func forge(t *testing.T, s *space, key ed25519.PrivateKey, claimed gossip.DeviceID) []byte {
	t.Helper()
	packed := []byte{2, 'o', 'p'}
	return seal(s, ed25519.Sign(key, signedBytes(s, claimed, packed)), slices.Concat(claimed[:authorSize], packed))
}

// Frames of other contents have other nonces and message ids, whoever of the members signs them: a nonce that came twice would give
// away what is sealed. The same frame has the same bytes.
func TestNonceIsThatOfTheContents(t *testing.T) {
	a, b := testKey("a"), testKey("b")
	s := testSpace(t, "one", a, b)
	seen := map[string]string{}
	for _, key := range []ed25519.PrivateKey{a, b} {
		for i := range 200 {
			ops := [][]byte{fmt.Append(nil, i)}
			frame := sealFrame(s, key, ops)
			if !bytes.Equal(frame, sealFrame(s, key, ops)) {
				t.Fatal("one frame has two forms")
			}
			who := fmt.Sprintf("operation %d of %v", i, deviceOfKey(key))
			if other, ok := seen[frameID(frame)]; ok {
				t.Fatalf("%s and %s share a nonce", other, who)
			}
			seen[frameID(frame)] = who
		}
	}
}

func TestUnpackOpsRefusesWhatPackingNeverWrites(t *testing.T) {
	for _, bad := range [][]byte{nil, {0}, {2, 'x'}, {0x81, 0x00, 'x'}, {0x80}, bytes.Repeat([]byte{0xff}, 11),
		bytes.Repeat([]byte{1, 'x'}, frameOpsMax+1)} {
		if ops, err := unpackOps(bad); err == nil {
			t.Errorf("%.8x… unpacked to %d operations", bad, len(ops))
		}
	}
}

func FuzzUnpackOps(f *testing.F) {
	f.Add([]byte{1, 'x', 2, 'y', 'z'})
	f.Add([]byte{0x80, 0x01})
	f.Fuzz(func(t *testing.T, packed []byte) {
		ops, err := unpackOps(packed)
		if err != nil {
			return
		}
		var again []byte
		for _, op := range ops {
			again = append(binary.AppendUvarint(again, uint64(len(op))), op...)
		}
		if !bytes.Equal(again, packed) {
			t.Fatalf("%x re-encodes to %x", packed, again)
		}
	})
}

func FuzzOpenFrame(f *testing.F) {
	key := testKey("a")
	s := testSpace(f, "one", key)
	frame := sealFrame(s, key, [][]byte{[]byte("op")})
	f.Add(frame)
	f.Add(frame[:frameMinimum-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := openFrame(s, b); err == nil && !bytes.Equal(b, frame) {
			t.Fatalf("opened a frame that nobody sealed: %x", b)
		}
	})
}
