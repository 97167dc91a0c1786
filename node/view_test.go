package node_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"syncline/node"
	"syncline/node/nodetest"
)

type task struct {
	Title string `json:"title"`
	Done  bool   `json:"done"`
}

func TestAViewYieldsWhatFitsAndTellsOfTheRest(t *testing.T) {
	s := space(t, open(t, node.Config{}))
	ctx := within(t)
	tasks := node.Of[task](s, "todo/")
	if _, err := tasks.Put(ctx, "1", task{Title: "milk"}, node.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	if _, err := tasks.Put(ctx, "1", task{}, node.IfAbsent()); !errors.Is(err, node.ErrExists) {
		t.Errorf("a put with a condition: %v", err)
	}
	for path, c := range map[string]node.Content{"todo/3": node.JSON(task{Done: true}), "todo/2": node.Text("no JSON"), "elsewhere": node.Text("x")} {
		if _, err := s.Put(ctx, path, c); err != nil {
			t.Fatal(err)
		}
	}
	got := maps.Collect(tasks.All(ctx))
	if want := map[string]task{"1": {Title: "milk"}, "3": {Done: true}}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := tasks.Err(); !errors.Is(err, node.ErrBadRequest) || node.ProblemOf(err).Path != "todo/2" {
		t.Errorf("Err: %v", err)
	}
	if _, err := tasks.Get(ctx, "2"); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("Get of what is no task: %v", err)
	}
	if _, err := tasks.Get(ctx, "4"); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	if _, err := tasks.Delete(ctx, "3"); err != nil {
		t.Fatal(err)
	}
	if _, err := tasks.Get(ctx, "3"); !errors.Is(err, node.ErrNotFound) {
		t.Errorf("Get of what was deleted: %v", err)
	}
	if _, err := node.Of[chan int](s, "").Put(ctx, "c", nil); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("Put of a channel: %v", err)
	}
	for range tasks.All(ctx) {
		break
	}
	if tasks.Err() != nil {
		t.Errorf("Err after a loop that was left: %v", tasks.Err())
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for range tasks.All(gone) {
		t.Error("an iteration whose context has ended yields")
	}
	if !errors.Is(tasks.Err(), context.Canceled) {
		t.Errorf("Err: %v", tasks.Err())
	}
}

func TestWaitForNamesOneDeviceAndSaysThatItHasAll(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	sa := space(t, a)
	if _, err := sa.Put(within(t), "k", node.Text("v")); err != nil {
		t.Fatal(err)
	}
	if err := sa.WaitFor(within(t), "desktop"); err != nil {
		t.Fatal(err)
	}
	if e, err := space(t, b).Get(within(t), "k"); err != nil || string(e.Shown().Data) != "v" {
		t.Errorf("desktop was said to have it: %v %v", e, err)
	}
	for _, name := range []string{"", "nobody"} {
		if err := sa.WaitFor(within(t), name); err == nil {
			t.Errorf("device %q has all", name)
		}
	}
	hub.Cut(b.ID())
	if _, err := sa.Put(within(t), "k", node.Text("later")); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(within(t))
	cancel()
	if err := sa.WaitFor(ended, "desktop"); !errors.Is(err, node.ErrNotCaughtUp) || !errors.Is(err, context.Canceled) {
		t.Errorf("of a device that is away: %v", err)
	}
}

func TestPingNamesADeviceThatIsConnected(t *testing.T) {
	hub := new(nodetest.Hub)
	a, b := pair(t, hub)
	sa := space(t, a)
	if _, err := sa.WaitSync(within(t), node.SyncOptions{Device: "desktop"}); err != nil {
		t.Fatal(err)
	}
	if took, err := sa.Ping("desktop"); err != nil || took <= 0 {
		t.Errorf("ping: %v, %v", took, err)
	}
	hub.Cut(b.ID())
	for device, want := range map[string]error{"desktop": node.ErrUnreachable, "laptop": node.ErrBadRequest, "nobody": node.ErrNoDevice} {
		if _, err := sa.Ping(device); !errors.Is(err, want) {
			t.Errorf("ping of %s: %v, want %v", device, err, want)
		}
	}
}
