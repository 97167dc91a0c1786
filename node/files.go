package node

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"syncline/gossip"
)

// The files of a data directory, beside one folder for each space under "spaces".
const (
	keyFile     = "device.key"
	deviceFile  = "device.json"
	spacesDir   = "spaces"
	spaceFile   = "space.json"
	defaultFile = "default"
	dbDir       = "db"
)

// loadKey reads the device key, or makes one; one that is replaced is kept beside the new one. A key that others can read is refused: whoever has
// it is this device. So is a directory that lost the key which a known device had: it would become another device without a word.
func loadKey(dir string, random io.Reader, known, renew bool) (ed25519.PrivateKey, error) {
	name := filepath.Join(dir, keyFile)
	if !renew {
		if key, err := readKey(name); !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
		if known {
			return nil, ErrStore.With("%s is missing: without it this is another device", name).
				Next("Bring the file back from a copy, or start as a new device, which must be invited:  peer up --new-identity")
		}
	}
	if err := putAside(name); err != nil {
		return nil, ErrStore.Because(err).Next("See who may write to " + dir)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	if err := writeFile(name, []byte(hex.EncodeToString(seed)+"\n")); err != nil {
		return nil, storeProblem(err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// putAside renames a file, if it is there, to a name beside it that no other has.
func putAside(name string) error {
	aside := name + ".replaced"
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		aside = fmt.Sprintf("%s.replaced-%d", name, i)
	}
	if err := os.Rename(name, aside); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readKey(name string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, ErrKeyExposed.With("%s has mode %04o; whoever reads it can act as this device", name, mode).
			Next("chmod 600 " + name + "\nIf somebody may have read it:  peer up --new-identity")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, ErrStore.Because(err).Next("See whose " + name + " is; peer must run as the user who may read it.")
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, ErrStore.With("%s does not hold a device key", name).
			Next("Bring the file back from a backup, or start as a new device:  peer up --new-identity")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// writeFile replaces a file by one with mode 0600 that is on disk when it returns, or leaves the old one.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(name))
}

// clearParts removes what writeFile left in dir of files with these names when the process was killed. Nobody else may write there now.
func clearParts(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range names {
			random, ok := strings.CutPrefix(e.Name(), "."+name+".")
			if !ok || random == "" || strings.Trim(random, "0123456789") != "" {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeFolders makes a folder and those around it, for this user only, and returns how to remove again those that were not there before
// and are empty.
func makeFolders(dir string) (unmake func(), err error) {
	var absent []string // the innermost first
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		absent = append(absent, d)
	}
	return func() {
		for _, d := range absent {
			os.Remove(d)
		}
	}, os.MkdirAll(dir, 0o700)
}

// syncDir makes the names in a folder durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// deviceRecord is what a device keeps about itself.
type deviceRecord struct {
	Name string `json:"name"`
}

// DeviceName returns the name that the device with a data directory goes by until another one is given, empty if it is not known.
func DeviceName(dir string) string {
	rec, _ := readDevice(dir)
	return rec.Name
}

// readDevice reads the record of the device in dir; it is zero if there is none.
func readDevice(dir string) (rec deviceRecord, err error) {
	name := filepath.Join(dir, deviceFile)
	if err := readJSON(name, &rec); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rec, ErrStore.Because(err).Next("It holds only the name of the device. Remove it, and name the device again:  peer up --name NAME")
	}
	return rec, nil
}

// spaceRecord is what a device keeps about a space outside its store: what it needs to open it.
type spaceRecord struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Key is the space key in hexadecimal digits: it proves membership and seals what is gossiped.
	Key string `json:"key"`
	// Genesis is the record that founded the space, in hexadecimal digits; its hash is the id.
	Genesis string    `json:"genesis"`
	Joined  time.Time `json:"joined"`
	// Replaces is the id of the space whose place as the default this one takes, as long as the join that brought it is not finished.
	Replaces string `json:"replaces,omitempty"`
}

// readSpace reads the record of the space in dir. The error is [fs.ErrNotExist] if there is none.
func readSpace(dir string) (rec spaceRecord, err error) {
	name := filepath.Join(dir, spaceFile)
	if err = readJSON(name, &rec); err == nil {
		_, _, _, err = rec.parse()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rec, ErrStore.With("%s is damaged: %v", name, err).Because(err).
			Next("Bring the file back from a copy of the folder. If there is none, move " + dir + " away and start again; other devices have what was synced, and a backup what it holds.")
	}
	return rec, err
}

// parse returns the binary forms, if they belong together.
func (s spaceRecord) parse() (id gossip.SpaceID, key [32]byte, genesis []byte, err error) {
	if genesis, err = hex.DecodeString(s.Genesis); err != nil {
		return id, key, nil, err
	}
	k, err := hex.DecodeString(s.Key)
	if err != nil || len(k) != len(key) {
		return id, key, nil, fmt.Errorf("the space key is damaged")
	}
	copy(key[:], k)
	id = spaceIDOf(genesis)
	if id.String() != s.ID {
		return id, key, nil, fmt.Errorf("the founding record does not belong to space %s", s.ID)
	}
	return id, key, genesis, nil
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(name, append(b, '\n'))
}
