package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"syncline/gossip"
)

// A book remembers under which addresses devices were reached, across restarts. It is a hint and nothing more: a missing or
// damaged file costs a discovery, and the key of whoever answers is checked by the transport.
type book struct {
	file string

	mu      sync.Mutex // guards entries and dirty
	entries map[gossip.DeviceID]*entry
	dirty   bool

	saving sync.Mutex // one writer of the file at a time; taken before mu
}

// An entry lists addresses best first: the one that worked last leads.
type entry struct {
	Addrs []string `json:"addrs,omitempty"`
	// Hand lists those of Addrs that a person added; learned ones never push them out.
	Hand     []string  `json:"hand,omitempty"`
	LastSeen time.Time `json:"lastSeen,omitzero"`
}

// openBook reads the file. A damaged one yields an empty book and the error, which the caller may log and ignore.
func openBook(file string) (*book, error) {
	b := &book{file: file, entries: make(map[gossip.DeviceID]*entry)}
	if file == "" {
		return b, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	} else if err != nil {
		return b, fmt.Errorf("address book: %w", err)
	}
	var stored map[string]*entry
	if err := json.Unmarshal(data, &stored); err != nil {
		return b, fmt.Errorf("address book %s: %w", file, err)
	}
	for id, e := range stored {
		d, err := gossip.ParseDeviceID(id)
		if err != nil || e == nil || len(b.entries) >= bookDevicesMax {
			continue
		}
		e.Addrs = addrStrings(parseAddrs(e.Addrs))
		e.Hand = slices.DeleteFunc(e.Hand, func(a string) bool { return !slices.Contains(e.Addrs, a) })
		e.trim()
		b.entries[d] = e
	}
	return b, nil
}

// trim drops addresses beyond the bound, the worst learned ones first.
func (e *entry) trim() {
	for i := len(e.Addrs) - 1; i >= 0 && len(e.Addrs) > bookAddrsMax; i-- {
		if !slices.Contains(e.Hand, e.Addrs[i]) {
			e.Addrs = slices.Delete(e.Addrs, i, i+1)
		}
	}
	if extra := len(e.Addrs) - bookAddrsMax; extra > 0 {
		e.Hand = slices.DeleteFunc(e.Hand, func(a string) bool { return slices.Contains(e.Addrs[bookAddrsMax:], a) })
		e.Addrs = e.Addrs[:bookAddrsMax]
	}
}

// learn adds addresses that discovery or the device itself named, before those learned earlier: a device that moves has new
// ones, and a full entry loses the oldest.
func (b *book) learn(d gossip.DeviceID, addrs ...string) {
	b.update(d, func(e *entry) bool {
		var fresh []string
		for _, a := range addrs {
			if !slices.Contains(e.Addrs, a) && !slices.Contains(fresh, a) {
				fresh = append(fresh, a)
			}
		}
		e.Addrs = slices.Insert(e.Addrs, e.leading(), fresh...)
		return len(fresh) > 0
	})
}

// leading counts the addresses that stay ahead of learned ones: the first, which worked last, and the hand-added ones after it.
func (e *entry) leading() int {
	i := min(1, len(e.Addrs))
	for i < len(e.Addrs) && slices.Contains(e.Hand, e.Addrs[i]) {
		i++
	}
	return i
}

// addByHand puts an address in front and keeps it.
func (b *book) addByHand(d gossip.DeviceID, addr string) {
	b.update(d, func(e *entry) bool {
		e.lead(addr)
		if !slices.Contains(e.Hand, addr) {
			e.Hand = append(e.Hand, addr)
		}
		return true
	})
}

// worked puts an address in front, because a connection to it proved itself.
func (b *book) worked(d gossip.DeviceID, addr string) {
	b.update(d, func(e *entry) bool {
		changed := len(e.Addrs) == 0 || e.Addrs[0] != addr
		e.lead(addr)
		return changed
	})
}

func (b *book) seen(d gossip.DeviceID, at time.Time) {
	b.update(d, func(e *entry) bool {
		e.LastSeen = at.Round(0)
		return true
	})
}

func (e *entry) lead(addr string) {
	e.Addrs = slices.DeleteFunc(e.Addrs, func(a string) bool { return a == addr })
	e.Addrs = slices.Insert(e.Addrs, 0, addr)
}

// update changes one entry, making room for a new device by forgetting the one seen longest ago.
func (b *book) update(d gossip.DeviceID, change func(*entry) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[d]
	if e == nil {
		if len(b.entries) >= bookDevicesMax {
			b.forgetOldest()
		}
		e = new(entry)
		b.entries[d] = e
	}
	if change(e) {
		e.trim()
		b.dirty = true
	}
}

func (b *book) forgetOldest() {
	var oldest gossip.DeviceID
	for d, e := range b.entries {
		if o := b.entries[oldest]; o == nil || e.LastSeen.Before(o.LastSeen) {
			oldest = d
		}
	}
	delete(b.entries, oldest)
}

func (b *book) addrs(d gossip.DeviceID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[d]; e != nil {
		return slices.Clone(e.Addrs)
	}
	return nil
}

// knows reports whether there is any address of a device.
func (b *book) knows(d gossip.DeviceID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[d]
	return e != nil && len(e.Addrs) > 0
}

func (b *book) lastSeen(d gossip.DeviceID) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[d]; e != nil {
		return e.LastSeen
	}
	return time.Time{}
}

// save writes the book if it changed: to a temporary file that replaces the old one, so that a crash leaves one of the two.
func (b *book) save() error {
	b.saving.Lock()
	defer b.saving.Unlock()
	data, changed, err := b.snapshot()
	if err != nil || !changed {
		return err
	}
	if err := replaceFile(b.file, data); err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("address book: %w", err)
	}
	return nil
}

func (b *book) snapshot() (data []byte, changed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty || b.file == "" {
		return nil, false, nil
	}
	stored := make(map[string]*entry, len(b.entries))
	for d, e := range b.entries {
		stored[d.String()] = e
	}
	b.dirty = false
	data, err = json.MarshalIndent(stored, "", "  ")
	return data, true, err
}

// replaceFile writes data beside name, readable by the owner only, and renames it into place.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // created with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
