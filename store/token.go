package store

import (
	"context"
	"fmt"
	"io"
	"sync"

	"syncline/crdt"
)

// A Token is what a clean close leaves outside the data: whoever finds it again, equal to what the data say, knows that the data
// are the ones that were closed, and that nothing was written since.
type Token struct {
	Replica crdt.ReplicaID
	Counter uint64
	Nonce   [16]byte
}

// A BootToken keeps one token until the machine restarts. It must not be copied or restored together with the data.
type BootToken interface {
	// Load returns the token. It reports false if there is none, or if the data directory, the machine or its boot is another
	// than at Save.
	Load() (Token, bool, error)
	Save(Token) error
	// Remove returns when no later Load can find the token. It is no error if there is none.
	Remove() error
}

// A MemoryToken is a BootToken for simulations. The zero MemoryToken is empty and ready to use; Remove is what a restart of the
// machine does to it.
type MemoryToken struct {
	mu    sync.Mutex
	token Token
	held  bool
}

// Load implements [BootToken].
func (m *MemoryToken) Load() (Token, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, m.held, nil
}

// Save implements [BootToken].
func (m *MemoryToken) Save(t Token) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token, m.held = t, true
	return nil
}

// Remove implements [BootToken].
func (m *MemoryToken) Remove() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token, m.held = Token{}, false
	return nil
}

// Incarnation returns the replica id under which this store may go on writing. It reports false if there is none: the next write
// must take a fresh one and name it with [Tx.SetIncarnation].
//
// An id is continued over a restart only if the last close was clean and its token is still there and says the same as the data.
// Anything else may be a copy or an older backup, whose next dots another copy may have used already.
func (s *Store) Incarnation() (crdt.ReplicaID, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.committed.writer, !s.committed.writer.IsZero()
}

func (s *Store) loadIncarnation(ctx context.Context) error {
	value, found, err := s.eng.get(ctx, nil, []byte(keyIncarnation))
	if err != nil || !found {
		return err
	}
	if s.onDisk, err = decodeIncarnation(value); err != nil {
		return &CorruptError{Key: keyIncarnation, Err: err}
	}
	if s.token == nil || !s.onDisk.clean {
		return nil
	}
	t, found, err := s.token.Load()
	if err != nil {
		return fmt.Errorf("boot token: %w", err)
	}
	if found && t == (Token{s.onDisk.replica, s.parts[0].Context.Get(s.onDisk.replica), s.onDisk.nonce}) {
		s.committed.writer = s.onDisk.replica
	}
	return nil
}

// prepare consumes the token and takes the clean mark back, durably, before the first write of this run.
func (s *Store) prepare(ctx context.Context) error {
	if s.prepared {
		return nil
	}
	if s.token != nil {
		if err := s.token.Remove(); err != nil {
			return fmt.Errorf("boot token: %w", err)
		}
	}
	if s.onDisk.clean {
		if err := s.putIncarnation(ctx, incarnation{replica: s.onDisk.replica}); err != nil {
			return fmt.Errorf("clear the clean mark: %w", err)
		}
	}
	s.prepared = true
	return nil
}

// putIncarnation may use the space that is kept for deletes: the first delete after a start on a full disk writes this record, too.
func (s *Store) putIncarnation(ctx context.Context, n incarnation) error {
	b, err := s.eng.batch(ctx, true)
	if err != nil {
		return err
	}
	b.put([]byte(keyIncarnation), appendIncarnation(nil, n))
	if err := b.commit(); err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	s.onDisk = n
	return nil
}

// leave writes the clean mark, then the token. A store that wrote nothing since Open has both still in place.
func (s *Store) leave(ctx context.Context) error {
	writer, ok := s.Incarnation()
	if !ok || s.token == nil || !s.prepared {
		return nil
	}
	n := incarnation{replica: writer, clean: true}
	if _, err := io.ReadFull(s.random, n.nonce[:]); err != nil {
		return fmt.Errorf("nonce: %w", err)
	}
	if err := s.putIncarnation(ctx, n); err != nil {
		return fmt.Errorf("clean mark: %w", err)
	}
	if err := s.token.Save(Token{writer, s.parts[0].Context.Get(writer), n.nonce}); err != nil {
		return fmt.Errorf("boot token: %w", err)
	}
	return nil
}
