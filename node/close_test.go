package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"syncline/node"
)

// closeAfter is how many writes are acknowledged before a close.
const closeAfter = 100

// TestCloseKeepsWhatWasAcknowledged closes a node while programs write, and opens it again.
func TestCloseKeepsWhatWasAcknowledged(t *testing.T) {
	const writers, paths = 4, 10
	dir, runtime, ctx := t.TempDir(), t.TempDir(), context.Background()
	var mu sync.Mutex
	acked := map[string]int{}
	for round := range 12 {
		n, err := node.Open(ctx, node.Config{Dir: dir, Name: "laptop", RuntimeDir: runtime})
		if err != nil {
			t.Fatal(err)
		}
		space, err := n.Space("")
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range acked {
			if e, err := space.Get(ctx, path); err != nil || string(e.Shown().Data) != fmt.Sprint(want) {
				t.Errorf("round %d: %s holds %q, %v; %d was acknowledged", round, path, e.Shown().Data, err, want)
			}
		}
		var wait sync.WaitGroup
		written := make(chan struct{}, closeAfter)
		for w := range writers {
			wait.Go(func() {
				for i := 1; ; i++ {
					path := fmt.Sprintf("w%d/%d", w, i%paths)
					if _, err := space.Put(ctx, path, node.Text(fmt.Sprint(round*1_000_000+i))); err != nil {
						return
					}
					mu.Lock()
					acked[path] = round*1_000_000 + i
					mu.Unlock()
					select {
					case written <- struct{}{}:
					default:
					}
				}
			})
		}
		for range closeAfter {
			<-written
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
	}
}
