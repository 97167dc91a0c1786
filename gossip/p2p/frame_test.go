package p2p

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
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
	frame, err := sealFrame(s, key, zeroReader{}, ops)
	must(t, err)
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
	frame, err := sealFrame(testSpace(t, "one", key), key, zeroReader{}, [][]byte{[]byte("put"), []byte("x")})
	must(t, err)
	const want = "b2578ce8dc41baea" + // epoch
		"000000000000000000000000000000000000000000000000" + // nonce
		"f9acfc182d73ea3e" + // author, sealed
		"532752e62396" + // two operations, sealed
		"193814c8b601e7129672b43a51fa63b3bc157a057c14eb741e939d9949ca9cd0" + // signature, sealed
		"0f61c8eaa3d3bc20bfb6c7658d9c85f4438c7aa05344a62d865671de0a9b84f3" +
		"a6fbce0413386798fdcd62326611a5ad" // authentication
	if got := hex.EncodeToString(frame); got != want {
		t.Errorf("frame is\n%s, want\n%s", got, want)
	}
}

// Every bit of a frame matters, and so does every byte of its length.
func TestTamperedFrameIsRejected(t *testing.T) {
	key := testKey("a")
	s := testSpace(t, "one", key)
	frame, err := sealFrame(s, key, zeroReader{}, [][]byte{[]byte("op")})
	must(t, err)
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
	frame, err := sealFrame(s, a, zeroReader{}, [][]byte{[]byte("op")})
	must(t, err)
	if _, _, err := openFrame(testSpace(t, "two", a), frame); !errors.Is(err, errFrameEpoch) {
		t.Errorf("in another space: %v", err)
	}
	access := testAccess("one", a)
	access.Key[0]++
	rotated, err := newSpace(access)
	must(t, err)
	if _, _, err := openFrame(rotated, frame); !errors.Is(err, errFrameEpoch) {
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
	nonce := make([]byte, nonceSize)
	packed := []byte{2, 'o', 'p'}
	body := slices.Concat(claimed[:authorSize], packed, ed25519.Sign(key, signedBytes(s, claimed, nonce, packed)))
	return s.seal.Seal(slices.Concat(s.epoch[:], nonce), nonce, body, sealedWith(s))
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
	frame, err := sealFrame(s, key, zeroReader{}, [][]byte{[]byte("op")})
	must(f, err)
	f.Add(frame)
	f.Add(frame[:frameMinimum-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := openFrame(s, b); err == nil && !bytes.Equal(b, frame) {
			t.Fatalf("opened a frame that nobody sealed: %x", b)
		}
	})
}
