package main

import (
	"fmt"
	"testing"

	"syncline/node"
)

// TestBytesOfAQuickSyncAreCounted: libp2p counts once a second, and a sync may take less. What travelled is told in full all the same.
func TestBytesOfAQuickSyncAreCounted(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	one, err := startMember(ctx, dir, "laptop", node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer one.node.Close()
	const entries = 1000
	_, err = one.space.Tx(ctx, func(tx *node.Tx) error {
		for i := range entries {
			tx.Put(fmt.Sprintf("bulk/%06d", i), benchValue(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	two, err := startMember(ctx, dir, "phone", node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer two.node.Close()
	if err := two.joinThrough(ctx, one); err != nil {
		t.Fatal(err)
	}
	if err := one.space.WaitFor(ctx, "phone"); err != nil {
		t.Fatal(err)
	}
	got, err := settled(ctx, two)
	if err != nil {
		t.Fatal(err)
	}
	if least := uint64(entries * benchValueLen); got < least || got > 4*least {
		t.Errorf("%d values of %d bytes arrived, and %d bytes were counted", entries, benchValueLen, got)
	}
}
