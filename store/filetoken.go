package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"syncline/crdt"
)

// tokenFile is the name of the token in its directory.
const tokenFile = "boot-token"

// A FileToken is a BootToken in a file. The file says for which machine, boot and data directory it was saved, and counts for
// no other.
type FileToken struct {
	path, data string
}

// NewFileToken returns the token of the data directory data, kept in the directory runtime. A restart of the machine must empty
// runtime, as it does a tmpfs such as /run, and whatever copies or restores data must not copy runtime: it is an error if one
// lies in the other, links resolved. Both must exist.
func NewFileToken(runtime, data string) (*FileToken, error) {
	run, err := realPath(runtime)
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	dir, err := realPath(data)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if within(run, dir) {
		return nil, fmt.Errorf("runtime directory %s lies in the data directory %s: a copy of the data would copy the token", run, dir)
	}
	if within(dir, run) {
		return nil, fmt.Errorf("data directory %s lies in the runtime directory %s: a restart would empty both", dir, run)
	}
	return &FileToken{filepath.Join(run, tokenFile), dir}, nil
}

func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// A place is where and when a token counts.
type place struct {
	// machine is the machine's id, boot the id of its boot.
	machine, boot string
	// device, inode and born, in nanoseconds since 1970, identify the data directory.
	device, inode uint64
	born          int64
}

// savedToken is the content of the file; its encoding is CBOR.
type savedToken struct {
	_             struct{} `cbor:",toarray"`
	Version       uint8
	Replica       crdt.ReplicaID
	Counter       uint64
	Nonce         [16]byte
	Machine, Boot string
	Device, Inode uint64
	Born          int64
}

// Load implements [BootToken]. A file that does not decode is no token.
func (f *FileToken) Load() (Token, bool, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Token{}, false, nil
	}
	if err != nil {
		return Token{}, false, err
	}
	saved, err := decodeToken(b)
	if err != nil {
		return Token{}, false, nil
	}
	here, err := currentPlace(f.data)
	if err != nil || here != (place{saved.Machine, saved.Boot, saved.Device, saved.Inode, saved.Born}) {
		return Token{}, false, nil
	}
	return Token{saved.Replica, saved.Counter, saved.Nonce}, true, nil
}

func decodeToken(b []byte) (savedToken, error) {
	var saved savedToken
	if len(b) > tokenBytesMax {
		return saved, fmt.Errorf("%w: a token of %d bytes", crdt.ErrDecode, len(b))
	}
	if err := crdt.Unmarshal(b, &saved); err != nil {
		return saved, err
	}
	if saved.Version != recordVersion {
		return saved, fmt.Errorf("%w: a token of version %d", crdt.ErrDecode, saved.Version)
	}
	return saved, nil
}

// tokenBytesMax bounds the file.
const tokenBytesMax = 4096

// Save implements [BootToken]. It saves nothing if the system does not tell boots or directories apart: then no id is continued.
func (f *FileToken) Save(t Token) error {
	here, err := currentPlace(f.data)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	b := crdt.Marshal(&savedToken{Version: recordVersion, Replica: t.Replica, Counter: t.Counter, Nonce: t.Nonce,
		Machine: here.machine, Boot: here.boot, Device: here.device, Inode: here.inode, Born: here.born})
	temp := f.path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, f.path)
}

// Remove implements [BootToken].
func (f *FileToken) Remove() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// On a tmpfs this does nothing; elsewhere the file must not come back.
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
