package des

import (
	"fmt"
	"strings"

	"syncline/crdt"
	"syncline/node"
)

// tellStep tells what a replica was told and what it wants done.
func (d *device) tellStep(in []node.Input, out []node.Output) {
	if _, ready := in[0].(node.SessionReady); ready && len(out) == 0 {
		return
	}
	var text []string
	for _, i := range in {
		text = append(text, d.w.tellInput(i))
	}
	text = append(text, "→")
	for _, o := range out {
		text = append(text, d.w.tellOutput(o))
	}
	if len(out) > 0 || text[0] != "tick" {
		d.w.tell("device %d: %s", d.index, strings.Join(text, " "))
	}
}

func (w *world) tellInput(in node.Input) string {
	switch i := in.(type) {
	case node.Tick:
		return "tick"
	case node.Write:
		var parts []string
		for _, op := range i.Ops {
			parts = append(parts, fmt.Sprintf("%s=%.24q delete=%v all=%v resolve=%v sibling=%v if=%q", op.Path, op.Data, op.Delete, op.All, op.Resolve, op.Sibling, op.IfVersion))
		}
		return "write " + strings.Join(parts, ", ")
	case node.Ops:
		var ops []string
		for _, op := range i.Ops {
			ops = append(ops, tellOp(op))
		}
		return fmt.Sprintf("gossip of %d from %d: %s", w.byID[i.Author].index, w.byID[i.From].index, strings.Join(ops, "; "))
	case node.SessionMsg:
		return fmt.Sprintf("session %x: message of type %d, %d bytes", uint64(i.ID), i.Msg[1], len(i.Msg))
	case node.SessionIn:
		return fmt.Sprintf("session %x from %d", uint64(i.ID), w.byID[i.Peer].index)
	case node.SessionEnd:
		return fmt.Sprintf("session %x ended (%v)", uint64(i.ID), i.Err)
	case node.SessionReady:
		return fmt.Sprintf("session %x ready", uint64(i.ID))
	case node.PeerUp:
		return fmt.Sprintf("peer %d up", w.byID[i.Peer].index)
	case node.PeerDown:
		return fmt.Sprintf("peer %d down", w.byID[i.Peer].index)
	}
	return fmt.Sprintf("%T", in)
}

func tellOp(encoded []byte) string {
	op, err := crdt.DecodeOp(encoded)
	if err != nil {
		return err.Error()
	}
	text := op.Dot.String()
	for _, e := range op.Entries {
		text += fmt.Sprintf(" %s=%.24q delete=%v preds %v %v also %v", e.Path, e.Data, e.Delete, e.Preds, e.PredDeletes, e.Also)
	}
	return text
}

func (w *world) tellOutput(out node.Output) string {
	switch o := out.(type) {
	case node.Reply:
		return fmt.Sprintf("reply %d (%v)", o.Tag, o.Err)
	case node.Publish:
		return "publish " + tellOp(o.Op)
	case node.OpenSession:
		return fmt.Sprintf("open session %x with %d", uint64(o.ID), w.byID[o.Peer].index)
	case node.Send:
		var types []byte
		for _, m := range o.Msgs {
			types = append(types, m[1])
		}
		return fmt.Sprintf("send %v on %x", types, uint64(o.ID))
	case node.CloseSession:
		return fmt.Sprintf("close session %x reset=%v", uint64(o.ID), o.Reset)
	case node.Changed:
		return fmt.Sprintf("changed %v, %d conflicts", o.Paths, len(o.Conflicts))
	case node.Synced:
		return fmt.Sprintf("synced with %d", w.byID[o.Peer].index)
	case node.Alarm:
		return "alarm " + o.Code + ": " + o.Text
	}
	return fmt.Sprintf("%T", out)
}
