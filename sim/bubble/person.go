package bubble

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syncline/crdt"
	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// write lets a person write, by the API that programs use. What is written is named by the number of the write.
func (d *device) write(number int, parts []scenario.Part) {
	w := d.w
	space := d.space
	w.people.Go(func() {
		err := d.ask(space, number, parts)
		if err == nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.emit(oracle.Event{Kind: oracle.EventRefused, Device: d.index, Path: parts[0].Path, Text: err.Error()})
	})
}

func (d *device) ask(space *node.Space, number int, parts []scenario.Part) error {
	ctx := context.Background()
	value := func(i int) node.Content { return contentOf(number, i, parts[i]) }
	if len(parts) == 1 {
		p := parts[0]
		switch p.Verb {
		case scenario.Resolve:
			v := value(0)
			_, err := space.Resolve(ctx, p.Path, node.Resolution{Value: &v})
			return err
		case scenario.Keep:
			_, err := space.Resolve(ctx, p.Path, node.Resolution{Keep: d.kept(p.Path).ID})
			return err
		case scenario.Sibling:
			return d.beside(ctx, space, p, value(0))
		}
	}
	_, err := space.Tx(ctx, func(t *node.Tx) error {
		for i, p := range parts {
			v := value(i)
			if p.Verb == scenario.Resolve || p.Verb == scenario.Keep {
				if _, err := space.Conflict(ctx, p.Path); err != nil {
					return err
				}
			}
			if p.Verb == scenario.Keep {
				v = d.kept(p.Path).Content
			}
			d.part(t, p, v)
		}
		return nil
	})
	return err
}

// contentOf is what a part of a write is to hold: what the scenario says, or a name that no other write has, as long as it is to be.
func contentOf(number, i int, p scenario.Part) node.Content {
	if p.Value != "" {
		return node.Text(p.Value)
	}
	name := fmt.Sprintf("v%d.%d", number, i)
	return node.Text(name + strings.Repeat(".", max(0, p.Size-len(name))))
}

// kept returns the value that is kept of those at a path: whoever keeps one keeps this one, as in package des. It is zero if there is
// none.
func (d *device) kept(path string) node.Value {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.view == nil {
		return node.Value{} // it starts, and the node says so
	}
	reg, err := d.view.Get(path)
	if err != nil || len(reg.Live) == 0 {
		return node.Value{} // the node says what is wrong
	}
	v := reg.Live[0]
	return node.Value{ID: node.ValueID(v.Dot), Content: node.Content{Type: v.Type, Data: v.Data}}
}

// part adds a part to a transaction. A transaction cannot write beside other values: there that is a plain write. It settles a conflict
// by writing over all values.
func (d *device) part(t *node.Tx, p scenario.Part, v node.Content) {
	opts := []node.WriteOption{node.As(kindOf(p))}
	switch p.Verb {
	case scenario.Delete:
		t.Delete(p.Path)
		return
	case scenario.DeleteAll:
		t.Delete(p.Path, node.All())
		return
	case scenario.PutAll, scenario.Resolve, scenario.Keep:
		opts = append(opts, node.All())
	case scenario.PutIf:
		d.w.mu.Lock()
		seen := d.w.oracle.Version(d.index, p.Path)
		d.w.mu.Unlock()
		if seen != "" {
			opts = append(opts, node.IfVersion(seen))
		}
	}
	t.Put(p.Path, v, opts...)
}

func kindOf(p scenario.Part) crdt.Kind {
	if p.LWW {
		return crdt.LWW
	}
	return crdt.Multi
}

// beside writes a value that replaces nothing, as only an import can: it brings back all values of the path and the new one.
func (d *device) beside(ctx context.Context, space *node.Space, p scenario.Part, v node.Content) error {
	line := node.ImportLine{Path: p.Path, Values: []node.Content{v}}
	if p.LWW {
		line.Kind = "lww"
	}
	e, err := space.Get(ctx, p.Path)
	if err == nil {
		for _, old := range e.Values {
			line.Values = append(line.Values, old.Content)
		}
	}
	_, err = space.Import(ctx, func(yield func(node.ImportLine, error) bool) { yield(line, nil) })
	return err
}

// read shows a path to a person: what the API returns is compared with what is committed, and that is judged. tell says whether it is
// part of the story.
func (d *device) read(path string, tell bool) {
	w := d.w
	space := d.space
	w.people.Go(func() {
		for !d.readOnce(space, path, tell) {
			time.Sleep(time.Millisecond)
		}
	})
}

// readOnce reports false if the device took a step meanwhile, so that nothing can be compared. What the last one led to is done when time
// has passed.
func (d *device) readOnce(space *node.Space, path string, tell bool) bool {
	w := d.w
	w.mu.Lock()
	life, steps := d.life, d.steps
	w.mu.Unlock()
	time.Sleep(time.Microsecond)
	e, err := space.Get(context.Background(), path)
	if tap := w.taps.shown; tap != nil && err == nil {
		e = tap(e)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !d.up || d.life != life {
		return true // it does not run any more
	}
	if !d.started || d.stepping || d.steps != steps {
		return false
	}
	reg, errStore := d.view.Get(path)
	if err == nil || errors.Is(err, node.ErrNotFound) {
		err = errStore
	}
	if err != nil {
		w.oracle.Unread(d.index, path, err)
		return true
	}
	var got []string
	for _, v := range e.Values {
		got = append(got, string(v.Data))
	}
	if want := texts(reg.Live); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		w.oracle.Fail(oracle.SEC, d.index, "%s shows %v, and %v is committed", path, got, want)
	}
	w.oracle.Read(d.index, path, reg.Live)
	if len(reg.Live) > 0 && len(got) > 0 {
		v := crdt.Value{Data: e.Shown().Data} // what a policy makes of values is none of them
		if i := slices.IndexFunc(reg.Live, func(v crdt.Value) bool { return node.ValueID(v.Dot) == e.Shown().ID }); i >= 0 {
			v = reg.Live[i]
		}
		w.oracle.Shown(d.index, path, reg.Live, v, e.View != nil)
	}
	if tell {
		w.emit(oracle.Event{Kind: oracle.EventRead, Device: d.index, Path: path, Values: got})
	}
	w.emitBroken()
	return true
}

// policy lets a person put paths under a policy.
func (d *device) policy(pattern, policy string) {
	w := d.w
	space := d.space
	w.people.Go(func() {
		if err := space.SetPolicy(context.Background(), pattern, node.Policy(policy)); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.emit(oracle.RefusedPolicyEvent(d.index, pattern, err))
		}
	})
}

// sync starts a session with every peer, as somebody does who waits for the others to hold all.
func (d *device) sync() {
	space := d.space
	d.w.people.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = space.WaitSync(ctx, node.SyncOptions{}) // whether they do is found out in other ways
	})
}
