package api_test

import (
	"testing"

	"github.com/ipfs/go-datastore"

	"syncline/node"
	"syncline/node/api/wire"
	"syncline/store"
	"syncline/store/mem"
)

// Every form of a delete says that the history lacks what it deleted on a full disk, and only then.
func TestADeleteOnAFullDiskSaysWhatIsLost(t *testing.T) {
	ds := mem.New()
	p := newPeerWith(t, node.Config{Dir: t.TempDir(), Backend: func(string) (datastore.Batching, store.BootToken, error) { return ds, nil, nil }})
	for _, path := range []string{"a", "b", "c/1", "c/2", "d", "e/1"} {
		p.want(201, "PUT", "/v1/kv/"+path, "1")
	}
	deletes := func(one, tx, many string) [3]bool {
		return [3]bool{
			decode[wire.Del](p.want(200, "DELETE", "/v1/kv/"+one, "", "Prefer", "return=representation"), wire.SchemaDel).Unkept,
			decode[wire.TxDone](p.want(200, "POST", "/v1/tx", `{"ops":[{"op":"del","path":"`+tx+`"}]}`), wire.SchemaTx).Results[0].Unkept,
			decode[wire.Del](p.want(200, "DELETE", "/v1/entries?prefix="+many, ""), wire.SchemaDel).Unkept,
		}
	}
	ds.Inject(mem.DiskFull)
	p.refused(507, "disk_full", "PUT", "/v1/kv/x", "1")
	if got := deletes("a", "b", "c/"); got != [3]bool{true, true, true} {
		t.Errorf("on a full disk: %v", got)
	}
	ds.Inject(nil)
	if got := deletes("d", "e/1", "e/"); got != [3]bool{} {
		t.Errorf("with room: %v", got)
	}
}
