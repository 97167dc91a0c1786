//go:build linux

package netns

import (
	"context"
	"errors"
	"slices"
	"time"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// transactions divides a write into what the local API takes at once: several new values and deletes, or one thing of another kind.
func transactions(parts []scenario.Part) [][]scenario.Part {
	if !slices.ContainsFunc(parts, func(p scenario.Part) bool { return p.Verb != scenario.Put && p.Verb != scenario.Delete }) {
		return [][]scenario.Part{parts}
	}
	return slices.Collect(slices.Chunk(parts, 1))
}

// answer asks for the values at a path.
func (a *actor) answer(ctx context.Context, path string) (oracle.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	e, err := a.api.Entry(ctx, path)
	if err != nil && node.ProblemOf(err).Code == node.ErrNotFound.Code {
		return oracle.Answer{}, nil
	}
	return a.r.answerOf(e), err
}

// answerOf translates what the API says.
func (r *run) answerOf(e wire.Entry) oracle.Answer {
	out := oracle.Answer{Version: e.Version, LWW: e.Type == "lww"}
	for _, v := range e.Values {
		text, _ := v.Text()
		s := oracle.Sighting{Name: v.Version, Data: text, Writer: -1, Won: v.WonOverDelete}
		for _, a := range r.actors {
			if a.peer.Name() == v.Device.Name {
				s.Writer = a.index
			}
		}
		out.Values = append(out.Values, s)
	}
	return out
}

// read looks at a path. A device that is down shows nothing; one that should answer and does not is a violation.
func (a *actor) read(ctx context.Context, path string) (oracle.Answer, error) {
	if !a.running() {
		return oracle.Answer{}, nil
	}
	got, err := a.answer(ctx, path)
	if err != nil {
		return got, a.silent(ctx, "read "+path, err)
	}
	a.r.judge(func(w *oracle.Witness) { w.Read(a.index, path, got) })
	var values []string
	for _, v := range got.Values {
		values = append(values, v.Data)
	}
	a.tell(oracle.Event{Kind: oracle.EventRead, Path: path, Values: values})
	return got, nil
}

// silent judges a request that was not answered.
func (a *actor) silent(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.running() {
		a.fail(oracle.Available, "%s: %v", what, err)
	}
	return nil
}

// write carries out a write as a person does: look, decide, ask. If the values change under their hands they look again.
func (a *actor) write(ctx context.Context, parts []scenario.Part) error {
	for range readAgainMax {
		if !a.running() {
			return nil
		}
		var shown []oracle.Answer
		for _, p := range parts {
			got, err := a.read(ctx, p.Path)
			if err != nil {
				return err
			}
			shown = append(shown, got)
		}
		if !a.running() {
			return nil // it ended during the look
		}
		var x *oracle.Wish
		a.r.judge(func(w *oracle.Witness) { x = w.Ask(a.index, parts, shown) })
		if x == nil {
			return nil
		}
		a.tellWrite(x)
		versions, err := a.ask(ctx, x)
		if again, err := a.settle(ctx, x, versions, err); err != nil || !again {
			return err
		}
	}
	a.r.judge(func(w *oracle.Witness) { w.Sometimes("write given up") })
	return nil
}

func (a *actor) tellWrite(x *oracle.Wish) {
	for _, p := range x.Parts {
		e := oracle.Event{Kind: oracle.EventWrite, Path: p.Path, Text: string(p.Verb)}
		if !p.IsDelete() {
			e.Values = []string{p.Data}
		}
		a.tell(e)
	}
}

// settle takes note of the outcome of a write, and reports whether the writer should look again.
func (a *actor) settle(ctx context.Context, x *oracle.Wish, versions []string, err error) (again bool, _ error) {
	if err == nil {
		a.r.judge(func(w *oracle.Witness) { w.Granted(x, versions...) })
		for _, p := range x.Parts {
			if _, err := a.read(ctx, p.Path); err != nil {
				return false, err
			}
		}
		return false, nil
	}
	code := node.ProblemOf(err).Code
	switch code {
	case client.ErrCutOff.Code, client.ErrNotRunning.Code, client.ErrTimeout.Code, node.ErrClosed.Code:
		a.r.judge(func(w *oracle.Witness) { w.Unanswered(x) })
		return false, a.silent(ctx, x.String(), err)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	changed := code == node.ErrVersionMismatch.Code || code == node.ErrExists.Code || code == node.ErrNotFound.Code
	a.tell(oracle.Event{Kind: oracle.EventRefused, Text: err.Error()})
	a.r.judge(func(w *oracle.Witness) { w.Denied(x, changed || code == node.ErrNoConflict.Code, err) })
	return changed && x.Parts[0].Verb != scenario.PutIf, nil
}

// ask hands a write to the device and returns the versions that it tells.
func (a *actor) ask(ctx context.Context, x *oracle.Wish) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if len(x.Parts) > 1 {
		return a.askForAll(ctx, x)
	}
	p := x.Parts[0]
	switch p.Verb {
	case scenario.Delete, scenario.DeleteAll:
		var doc wire.Del
		var err error
		if p.IfVersion != "" {
			doc, err = a.api.DeleteIf(ctx, p.Path, p.IfVersion)
		} else {
			doc, err = a.api.Delete(ctx, p.Path, p.Verb == scenario.DeleteAll)
		}
		return []string{doc.Version}, err
	case scenario.Resolve, scenario.Keep:
		ask := wire.Resolve{Path: p.Path, IfMatch: &p.IfVersion}
		for _, v := range p.Shown.Values {
			if p.Verb == scenario.Keep && v.Data == p.Data && ask.Keep == nil {
				ask.Keep = []string{v.Name}
			}
		}
		if p.Verb == scenario.Resolve {
			ask.Body = wire.BodyOf(node.Text(p.Data))
		}
		e, err := a.api.Resolve(ctx, ask)
		return []string{e.Version}, err
	}
	o := client.PutOptions{IfVersion: p.IfVersion, IfAbsent: p.IfVersion == "" && len(p.Shown.Values) == 0}
	if p.LWW {
		o.Type = "lww"
	}
	doc, err := a.api.Put(ctx, p.Path, node.Text(p.Data), o)
	return []string{doc.Version}, err
}

// askForAll hands over a transaction.
func (a *actor) askForAll(ctx context.Context, x *oracle.Wish) (versions []string, _ error) {
	var ops []wire.TxOp
	for _, p := range x.Parts {
		o := wire.TxOp{Op: "del", Path: p.Path}
		if p.Verb == scenario.Put {
			o = wire.PutOp(p.Path, node.Text(p.Data))
			if p.LWW {
				o.Type = "lww"
			}
		}
		ops = append(ops, o)
	}
	done, err := a.api.Tx(ctx, ops)
	for _, r := range done.Results {
		versions = append(versions, r.Version)
	}
	return versions, err
}

// sync synchronises now, and reports whether others are connected and hold what is here.
func (a *actor) sync(ctx context.Context, others ...*actor) bool {
	if !a.running() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, syncWithin+time.Second)
	defer cancel()
	doc, err := a.api.WaitSync(ctx, "", syncWithin)
	if err != nil || !doc.CaughtUp {
		return false
	}
	held := map[*actor]bool{a: true}
	for _, d := range doc.Devices {
		for _, o := range a.r.actors {
			if o != a && o.peer.Name() == d.Name && d.Missing.Entries == 0 && d.Path != "" {
				held[o] = true
				a.r.judge(func(w *oracle.Witness) { w.Holds(a.index, o.index) })
			}
		}
	}
	return !slices.ContainsFunc(others, func(o *actor) bool { return !held[o] })
}

// page asks for all that the device shows.
func (a *actor) page(ctx context.Context) (oracle.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	p := oracle.Page{Paths: map[string]oracle.Answer{}, Conflicts: map[string]string{}}
	for e, err := range a.api.List(ctx, "", true) {
		if errors.Is(err, node.ErrFilling) { // what is here is what it shows
			break
		}
		if err != nil {
			return p, err
		}
		p.Paths[e.Path] = a.r.answerOf(e)
	}
	for c, err := range a.api.Conflicts(ctx, "") {
		if errors.Is(err, node.ErrFilling) { // what is here is what it shows
			break
		}
		if err != nil {
			return p, err
		}
		p.Conflicts[c.Path] = c.Version
	}
	st, err := a.api.Status(ctx)
	if err != nil {
		return p, err
	}
	p.Entries, p.ConflictCount = st.Entries, st.Conflicts
	for _, w := range st.Warnings {
		p.Alarms = append(p.Alarms, w.Code)
	}
	for code := range st.Alarms {
		p.Alarms = append(p.Alarms, code)
	}
	return p, nil
}
