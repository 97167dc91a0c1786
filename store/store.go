package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-datastore"

	"syncline/crdt"
)

// Options are the choices of Open.
type Options struct {
	// Token keeps what proves that nothing happened to the data between a clean close and the next Open. Without one, every start
	// that writes takes a fresh replica id.
	Token BootToken
	// Random is the source of nonces; nil means crypto/rand.
	Random io.Reader
	// History bounds what is kept of the past.
	History HistoryBounds
	// CacheBytes bounds the memory for registers that were written lately, which the next write reads; see [CacheBytes]. 0 means none.
	CacheBytes int
}

// A Store is one replica's state in a datastore. Everything is read from any goroutine; everything is changed through one Tx at a
// time.
type Store struct {
	eng    *engine
	token  BootToken
	random io.Reader
	// history bounds the past, with defaults.
	history HistoryBounds
	closed  atomic.Bool
	// rolls tell, of what a damaged file keeps from being read, what is not there.
	rolls rolls
	// unsynced is the error of the first sync that failed.
	unsynced atomic.Pointer[error]

	// The goroutine of the transaction owns these. parts includes what the open transaction changed.
	tx        Tx
	cache     cache
	parts     crdt.Parts
	ordinals  map[crdt.ReplicaID]ordinal
	replicas  []crdt.ReplicaID
	formatted bool
	prepared  bool
	// swept is where the sweep stands; rest says that history is off and something is left of it.
	swept  sweep
	rest   bool
	onDisk incarnation

	// head is the committed head, read without a lock.
	head atomic.Pointer[Head]
	// commits is held while a batch is applied and published; commit is odd then. A reader of two records that finds commit
	// changed reads again under the lock.
	commits sync.RWMutex
	commit  atomic.Uint64
	// mu guards committed. It is taken after commits. lent says that somebody was given a vector of it, which must stay as it is.
	mu        sync.RWMutex
	lent      atomic.Bool
	committed struct {
		// context and floor are the joins of those of the parts; parts is nil if there is one.
		context, floor crdt.Vector
		parts          crdt.Parts
		writer         crdt.ReplicaID
	}
}

// Open loads the replica that lies in ds, or an empty one. It writes nothing. The caller keeps ds and closes it after the store.
func Open(ctx context.Context, ds datastore.Batching, o Options) (*Store, error) {
	if err := CheckAtomic(ds); err != nil {
		return nil, err
	}
	s := &Store{eng: newEngine(ds), token: o.Token, random: o.Random, history: o.History.withDefaults(), cache: newCache(o.CacheBytes), ordinals: map[crdt.ReplicaID]ordinal{}, parts: crdt.Parts{{}}}
	if s.random == nil {
		s.random = rand.Reader
	}
	s.tx.init(s)
	s.head.Store(&Head{})
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func (s *Store) load(ctx context.Context) error {
	format, found, err := s.eng.get(ctx, nil, []byte(keyFormat))
	if err != nil {
		return err
	}
	if !found {
		return s.checkUnused(ctx)
	}
	layout, err := decodeFormat(format)
	if errors.Is(err, ErrNewer) {
		return err
	} else if err != nil {
		return &CorruptError{Key: keyFormat, Err: err}
	}
	s.formatted = layout == layoutVersion // the first commit raises an older one
	if err := s.loadHead(ctx); err != nil {
		return err
	}
	if err := s.loadSeats(ctx); err != nil {
		return err
	}
	if err := s.loadParts(ctx); err != nil {
		return err
	}
	if err := s.loadSweep(ctx); err != nil {
		return err
	}
	if err := s.loadRest(ctx); err != nil {
		return err
	}
	return s.loadIncarnation(ctx)
}

// checkUnused refuses a datastore that holds records but no format: something else lives there, or its first record is lost.
func (s *Store) checkUnused(ctx context.Context) error {
	var other string
	err := s.eng.scan(ctx, []byte("/"), nil, func(key, _ []byte) bool {
		other = string(key)
		return false
	})
	if err == nil && other != "" {
		err = &CorruptError{Key: keyFormat, Err: fmt.Errorf("it is missing, though %q exists", other)}
	}
	return err
}

func (s *Store) loadHead(ctx context.Context) error {
	value, found, err := s.eng.get(ctx, nil, []byte(keyHead))
	if err != nil {
		return err
	}
	if !found {
		return &CorruptError{Key: keyHead, Err: errors.New("it is missing")}
	}
	h, err := decodeHead(value)
	if err != nil {
		return &CorruptError{Key: keyHead, Err: err}
	}
	s.head.Store(&h)
	return nil
}

func (s *Store) loadSeats(ctx context.Context) error {
	lo := []byte(spaceReplica)
	var bad error
	var context, floor []crdt.Dot
	err := s.eng.scan(ctx, lo, after(lo), func(key, value []byte) bool {
		o, err := cutOrdinal(string(key), spaceReplica)
		if err == nil && int(o) != len(s.replicas) {
			err = fmt.Errorf("ordinal %d follows %d others", o, len(s.replicas))
		}
		var seat seat
		if err == nil {
			seat, err = decodeSeat(value)
		}
		if _, twice := s.ordinals[seat.replica]; err == nil && twice {
			err = fmt.Errorf("replica %v has two ordinals", seat.replica)
		}
		if err != nil {
			bad = &CorruptError{Key: string(key), Err: err}
			return false
		}
		s.ordinals[seat.replica] = o
		s.replicas = append(s.replicas, seat.replica)
		context = append(context, crdt.Dot{Replica: seat.replica, Counter: seat.counter})
		floor = append(floor, crdt.Dot{Replica: seat.replica, Counter: seat.floor})
		return true
	})
	s.committed.context, s.committed.floor = crdt.VectorOf(context), crdt.VectorOf(floor)
	s.parts = s.restore()
	return errors.Join(err, bad)
}

// Sync returns once everything that was committed before the call is durable. After one failed for another reason than the end of ctx,
// it fails for ever: see [ErrUnsynced].
func (s *Store) Sync(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.syncError(); err != nil {
		return err
	}
	err := s.eng.ds.Sync(ctx, datastore.RawKey("/"))
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return fmt.Errorf("sync: %w", err)
	}
	err = fmt.Errorf("sync: %w: %w", ErrUnsynced, err)
	s.unsynced.CompareAndSwap(nil, &err)
	return s.syncError()
}

// Failed returns why nothing can be written until the store is closed and its datastore opened anew, nil if it can be.
func (s *Store) Failed() error {
	if err := s.syncError(); err != nil {
		return err
	}
	if ds, ok := s.eng.ds.(Reopener); ok {
		return ds.Failed()
	}
	return nil
}

// Reopenable returns nil if opening the datastore of a store that has failed anew may help by now, else why not yet.
func (s *Store) Reopenable() error {
	if ds, ok := s.eng.ds.(Reopener); ok {
		return ds.Reopenable()
	}
	return nil
}

func (s *Store) syncError() error {
	if p := s.unsynced.Load(); p != nil {
		return *p
	}
	return nil
}

// Close ends the store; the datastore stays open. A clean close makes everything durable and lets the next Open continue the
// replica id, if there is a token. Close must not run beside a transaction; one that is open is discarded.
func (s *Store) Close(ctx context.Context, clean bool) error {
	if s.closed.Load() {
		return nil
	}
	s.tx.Discard()
	defer s.closed.Store(true)
	if !clean {
		return nil
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	return s.leave(ctx)
}

// Head returns the committed head.
func (s *Store) Head() Head { return *s.head.Load() }

// Context returns the committed context: what was seen of every path. It stays as it is; the caller must not change it.
func (s *Store) Context() crdt.Vector {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.committed.parts != nil {
		return s.committed.parts.Common()
	}
	s.lent.Store(true)
	return s.committed.context
}

// Floor returns the committed floor, like Context.
func (s *Store) Floor() crdt.Vector {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.lent.Store(true)
	return s.committed.floor
}
