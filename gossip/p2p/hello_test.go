package p2p

import (
	"bytes"
	"slices"
	"testing"
)

func testTranscript() transcript {
	return transcript{
		dialer: deviceOfKey(testKey("a")), listener: deviceOfKey(testKey("b")),
		dialerNonce: nonce{1}, listenerNonce: nonce{2}, dialerInstance: instance{3}, listenerInstance: instance{4},
	}
}

func TestTagsProveSharedSpacesOnly(t *testing.T) {
	a, b := testKey("a"), testKey("b")
	one, two, three := testSpace(t, "one", a, b), testSpace(t, "two", a, b), testSpace(t, "three", a, b)
	seen := testTranscript()
	tags, err := seen.tags([]*space{one, two}, true, zeroReader{})
	must(t, err)
	if len(tags)%tagPad != 0 {
		t.Errorf("%d tags, not padded", len(tags))
	}
	proven := seen.proven([]*space{two, three}, tags, true)
	if _, ok := proven[two.id]; !ok || len(proven) != 1 {
		t.Errorf("proved %v, want the second space only", proven)
	}
}

// A tag fits one direction of one connection between two devices: whatever of the transcript changes, it proves nothing.
func TestTagIsBoundToItsConnection(t *testing.T) {
	s := testSpace(t, "one", testKey("a"), testKey("b"))
	honest := testTranscript()
	tags := []tag{honest.tag(s, true)}
	if len(honest.proven([]*space{s}, tags, false)) != 0 {
		t.Error("a reflected tag was accepted")
	}
	for name, change := range map[string]func(*transcript){
		"dialer":            func(x *transcript) { x.dialer[0]++ },
		"listener":          func(x *transcript) { x.listener[0]++ },
		"dialer nonce":      func(x *transcript) { x.dialerNonce[0]++ },
		"listener nonce":    func(x *transcript) { x.listenerNonce[0]++ },
		"dialer instance":   func(x *transcript) { x.dialerInstance[0]++ },
		"listener instance": func(x *transcript) { x.listenerInstance[0]++ },
	} {
		other := honest
		change(&other)
		if len(other.proven([]*space{s}, tags, true)) != 0 {
			t.Errorf("a tag for another %s was accepted", name)
		}
	}
}

func TestTagsAreBounded(t *testing.T) {
	s := testSpace(t, "one")
	for _, count := range []int{0, 1, 7, 8, 255, 256, 300} {
		seen := testTranscript()
		tags, err := seen.tags(slices.Repeat([]*space{s}, count), true, zeroReader{})
		must(t, err)
		c, err := decodeMessage(message{kind: kindProof, tags: tags}.encode())
		must(t, err)
		if len(c.tags) < min(count, tagsMax) {
			t.Errorf("%d spaces: %d tags", count, len(c.tags))
		}
	}
}

// Whatever decodes re-encodes to the same bytes.
func FuzzDecodeMessage(f *testing.F) {
	for _, m := range []message{
		{kind: kindHello, nonce: nonce{1}, instance: instance{2}},
		{kind: kindAnswer, tags: make([]tag, tagPad)},
		{kind: kindProof, tags: make([]tag, 2*tagPad)},
		{kind: kindAgain}, {kind: kindPing}, {kind: kindPong}, {kind: kindTwin, text: "/ip4/127.0.0.1/tcp/1"}, {kind: 99},
	} {
		f.Add(m.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err == nil && !bytes.Equal(m.encode(), b) {
			t.Fatalf("%x re-encodes to %x", b, m.encode())
		}
	})
}
