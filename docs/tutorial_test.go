package docs

import (
	"context"
	"fmt"
	"log"
	"testing"
	"time"

	"syncline/gossip"
	"syncline/gossip/p2p"
	"syncline/node"
	"syncline/node/nodetest"
)

// The program of tutorials/two-devices-in-go.md, as TestGoCodeIsCompiled wants it.

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var hub nodetest.Hub // a network within this process
	laptop, err := node.Open(ctx, node.Config{Name: "laptop", Network: hub.New()})
	if err != nil {
		log.Fatal(err)
	}
	defer laptop.Close()
	phone, err := node.Open(ctx, node.Config{Name: "phone", Network: hub.New()})
	if err != nil {
		log.Fatal(err)
	}
	defer phone.Close()
	if err := letIn(ctx, laptop, phone); err != nil {
		log.Fatal(err)
	}
	if err := share(ctx, laptop, phone); err != nil {
		log.Fatal(err)
	}
	if err := disagree(ctx, &hub, laptop, phone); err != nil {
		log.Fatal(err)
	}
	if err := settle(ctx, laptop, phone); err != nil {
		log.Fatal(err)
	}
}

// letIn makes joiner a member of the inviter's space.
func letIn(ctx context.Context, inviter, joiner *node.Node) error {
	invite, err := inviter.Invite(ctx, nil, node.InviteOptions{})
	if err != nil {
		return err
	}
	joined := make(chan error, 1)
	go func() {
		_, err := joiner.Join(ctx, invite.Ticket) // waits until somebody there has answered
		joined <- err
	}()
	invite, err = inviter.AwaitInvite(ctx, invite.ID, invite)
	if err != nil {
		return err
	}
	who := invite.Request.Device
	fmt.Printf("%s asks to join\n", who.Name)
	if _, err := inviter.AnswerInvite(ctx, invite.ID, who.ID, true); err != nil {
		return err
	}
	return <-joined
}

// share writes a note on one device and waits until the other tells of it.
func share(ctx context.Context, from, to *node.Node) error {
	here, err := from.Space("")
	if err != nil {
		return err
	}
	there, err := to.Space("") // after the join: it is another space than before
	if err != nil {
		return err
	}
	if _, err := here.Put(ctx, "notes/todo", node.Text("milk\n")); err != nil {
		return err
	}
	for ev, err := range there.Watch(ctx, "notes/", "") {
		if err != nil {
			return err
		}
		if ev.UpToDate || ev.Change.Entry == nil {
			continue // all that was there has been told, and Watch goes on; or the entry is gone
		}
		note := ev.Change.Entry.Shown()
		fmt.Printf("on %s: %s is %q, by %s\n", to.Name(), ev.Change.Path, note.Data, note.Device.Name)
		break
	}
	return nil
}

// disagree lets both devices write the same note while they cannot reach each other, and waits until they have met again.
func disagree(ctx context.Context, hub *nodetest.Hub, a, b *node.Node) error {
	hub.Cut(b.ID())
	for n, text := range map[*node.Node]string{a: "milk\nbread\n", b: "milk\ntea\n"} {
		space, err := n.Space("")
		if err != nil {
			return err
		}
		if _, err := space.Put(ctx, "notes/todo", node.Text(text)); err != nil {
			return err
		}
	}
	hub.Heal()
	for from, to := range map[*node.Node]*node.Node{a: b, b: a} {
		space, err := from.Space("")
		if err != nil {
			return err
		}
		if err := space.WaitFor(ctx, to.Name()); err != nil {
			return err
		}
	}
	return nil
}

// settle decides the conflict on one device and reads the decision on the other.
func settle(ctx context.Context, a, b *node.Node) error {
	space, err := a.Space("")
	if err != nil {
		return err
	}
	for c, err := range space.Conflicts(ctx, "notes/") {
		if err != nil {
			return err
		}
		fmt.Printf("on %s: %d values for %s\n", a.Name(), len(c.Values), c.Path)
	}
	c, err := space.Conflict(ctx, "notes/todo")
	if err != nil {
		return err
	}
	if c.Base != nil {
		fmt.Printf("both were made from %q\n", c.Base.Data)
	}
	both := node.Text("milk\nbread\ntea\n")
	if _, err := space.Resolve(ctx, c.Path, node.Resolution{IfVersion: c.Version, Value: &both}); err != nil {
		return err
	}
	if err := space.WaitFor(ctx, b.Name()); err != nil {
		return err
	}
	there, err := b.Space("")
	if err != nil {
		return err
	}
	e, err := there.Get(ctx, c.Path)
	if err != nil {
		return err
	}
	fmt.Printf("on %s: %q, %d conflicts\n", b.Name(), e.Shown().Data, e.Conflict)
	return nil
}

// onLoopback returns the network of a device that others on this machine can reach. It looks for nobody: the ticket says where it is.
func onLoopback() gossip.Network {
	return p2p.New(p2p.Config{NoLAN: true, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
}

func Example_tutorial() {
	main()
	// Output:
	// phone asks to join
	// on phone: notes/todo is "milk\n", by laptop
	// on laptop: 2 values for notes/todo
	// both were made from "milk\n"
	// on phone: "milk\nbread\ntea\n", 0 conflicts
}

// TestTheTutorialOnLoopback runs what the tutorial says of real networks.
func TestTheTutorialOnLoopback(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var devices []*node.Node
	for _, name := range []string{"laptop", "phone"} {
		n, err := node.Open(ctx, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Name: name, Network: onLoopback()})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		devices = append(devices, n)
	}
	if err := letIn(ctx, devices[0], devices[1]); err != nil {
		t.Fatal(err)
	}
	if err := share(ctx, devices[0], devices[1]); err != nil {
		t.Fatal(err)
	}
}
