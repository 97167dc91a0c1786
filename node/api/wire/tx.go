package wire

import (
	"errors"
	"fmt"

	"syncline/node"
)

// SchemaTx is the schema of [TxDone].
const SchemaTx = "peer.tx/v1"

// A Tx is the body of POST /v1/tx: operations that are carried out together, on every device, or not at all.
type Tx struct {
	Ops []TxOp `json:"ops"`
}

// A TxOp is one operation of a transaction. Op is "put", which needs a value as a [Line] has it, or "del".
type TxOp struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	Body
	Type string `json:"type,omitempty"`
	// IfMatch and IfAbsent are conditions: if one does not hold, nothing of the transaction happens. IfMatch is a version; the
	// operation then replaces every value that the version names.
	IfMatch  *string `json:"if_match,omitempty"`
	IfAbsent bool    `json:"if_absent,omitempty"`
	// All lets a del remove every value of an entry in conflict.
	All bool `json:"all,omitempty"`
}

// PutOp returns the operation that writes c.
func PutOp(path string, c node.Content) TxOp { return TxOp{Op: "put", Path: path, Body: bodyOf(c)} }

// Parse returns what o writes, whether it deletes instead, and its options; or says what is wrong with it.
func (o TxOp) Parse() (c node.Content, del bool, opts []node.WriteOption, err error) {
	switch o.Op {
	case "put":
		if c, err = o.content(); err == nil && o.All {
			err = errors.New("all is for del")
		}
	case "del":
		del = true
		if o.forms() > 0 || o.ContentType != nil || o.Type != "" || o.IfAbsent {
			err = errors.New("a del takes a path, if_match and all, and nothing else")
		}
	default:
		err = fmt.Errorf("op is put or del, not %q", o.Op)
	}
	if err == nil && o.IfMatch != nil && (*o.IfMatch == "" || o.IfAbsent) {
		err = errors.New("if_match is the version that was read, and excludes if_absent")
	}
	if err != nil {
		return c, del, nil, err
	}
	if o.Type != "" {
		kind, err := ParseKind(o.Type)
		if err != nil {
			return c, del, nil, fmt.Errorf("type is multi or lww, not %q", o.Type)
		}
		opts = append(opts, node.As(kind))
	}
	if o.IfMatch != nil {
		opts = append(opts, node.IfVersion(node.Version(*o.IfMatch)))
	}
	if o.IfAbsent {
		opts = append(opts, node.IfAbsent())
	}
	if o.All {
		opts = append(opts, node.All())
	}
	return c, del, opts, nil
}

// ParseTxOp reads an operation from one line of JSON. It refuses fields that it does not know.
func ParseTxOp(line []byte) (TxOp, error) {
	var o TxOp
	if err := Decode(line, &o); err != nil {
		return o, err
	}
	_, _, _, err := o.Parse()
	return o, err
}

// TxDone says what a transaction did, operation by operation in their order.
type TxDone struct {
	Schema  string     `json:"schema"`
	Results []TxResult `json:"results"`
}

// A TxResult says what one operation did. Version is that of the values that are there now, absent if none are; Remaining counts
// those that stay because the writer was not shown them.
type TxResult struct {
	Op        string `json:"op"`
	Path      string `json:"path"`
	Version   string `json:"version,omitempty"`
	Created   bool   `json:"created"`
	Remaining int    `json:"remaining"`
	// Unkept says that what was deleted is not in the history, because the disk is full.
	Unkept bool `json:"unkept,omitempty"`
}
