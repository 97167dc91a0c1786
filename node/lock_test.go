package node_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"syncline/node"
)

func TestARefusedOpenChangesNothing(t *testing.T) {
	for _, store := range []string{"", "leveldb:", "mem:"} {
		dir := t.TempDir()
		first := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Store: store, Name: "laptop"})
		before := map[string]string{"device.key": "", "device.json": "", "device.key.replaced": ""}
		for name := range before {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			before[name] = string(b)
		}
		_, err := node.Open(within(t), node.Config{Dir: dir, Store: store, Name: "intruder", NewIdentity: true})
		if p := node.ProblemOf(err); !errors.Is(err, node.ErrDirInUse) || p.Hint == "" {
			t.Errorf("store %q: a second open: %v, want ErrDirInUse", store, err)
		}
		for name, want := range before {
			if got, _ := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
				t.Errorf("store %q: a refused open changed %s", store, name)
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir(), Store: store}).Close(); err != nil {
			t.Errorf("store %q: an open after the close: %v", store, err)
		}
	}
}

func TestAnOpenThatFailsLeavesTheDirectoryFree(t *testing.T) {
	dir := t.TempDir()
	if _, err := node.Open(within(t), node.Config{Dir: dir, Store: "nothing:"}); err == nil {
		t.Fatal("a backend that does not exist was opened")
	}
	open(t, node.Config{Dir: dir})
}

func TestEveryReplacedKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	var keys []string
	for i := range 4 {
		if err := open(t, node.Config{Dir: dir, Store: "mem:", NewIdentity: i > 0}).Close(); err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(filepath.Join(dir, "device.key"))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(key))
	}
	for i, name := range []string{"device.key.replaced", "device.key.replaced-2", "device.key.replaced-3"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != keys[i] {
			t.Errorf("%s does not hold the key before renewal %d: %v", name, i+1, err)
		}
	}
}

// onRead calls do before the first byte is read.
type onRead struct {
	io.Reader
	do func()
}

func (r *onRead) Read(p []byte) (int, error) {
	if r.do != nil {
		r.do()
		r.do = nil
	}
	return r.Reader.Read(p)
}

// A node that is opened where a backup is being restored keeps what it has.
func TestRestoreLeavesADirectoryThatIsUsedMeanwhile(t *testing.T) {
	b := backup(t, open(t, node.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir()}))
	dir := filepath.Join(t.TempDir(), "data")
	var n *node.Node
	from := &onRead{Reader: bytes.NewReader(b), do: func() { n = open(t, node.Config{Dir: dir, RuntimeDir: t.TempDir()}) }}
	if _, err := node.Restore(within(t), from, node.RestoreOptions{Dir: dir}); !errors.Is(err, node.ErrDirNotEmpty) {
		t.Errorf("restore: %v, want ErrDirNotEmpty", err)
	}
	mustPut(t, space(t, n), "a", "1")
}

func TestAConfigThatCannotBeIsRefused(t *testing.T) {
	for name, cfg := range map[string]node.Config{
		"DeleteLog":              {DeleteLog: -1},
		"AntiEntropy":            {AntiEntropy: -time.Second},
		"AntiEntropy of ages":    {AntiEntropy: 1<<63 - 1},
		"MergeDeadline":          {MergeDeadline: -1},
		"Poll":                   {Poll: -time.Second},
		"Poll too short":         {Poll: time.Millisecond},
		"Poll of ages":           {Poll: 1<<63 - 1},
		"a name with a newline":  {Name: "a\nb"},
		"a name that is no text": {Name: "\xff"},
	} {
		n, err := node.Open(within(t), cfg)
		if err == nil {
			n.Close()
		}
		if !errors.Is(err, node.ErrBadRequest) {
			t.Errorf("%s: %v, want ErrBadRequest", name, err)
		}
	}
	open(t, node.Config{HistoryVersions: -1, HistoryAge: -time.Second})
}
