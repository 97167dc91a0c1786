package node

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"syncline/store"
)

// A backup is one stream: the magic line, a header as JSON, then for each space a 'S' with its record as JSON and a 'R' for each record
// of its store, then an 'E' with the number of all records, and the SHA-256 of everything before. Lengths and numbers are varints. See
// docs/PROTOCOL.md and docs/decisions/0024.
const (
	backupMagic   = "syncline backup 1\n"
	backupSpace   = 'S'
	backupRecord  = 'R'
	backupEnd     = 'E'
	backupPartMax = 64 << 20 // bounds one part: a conflict of dozens of large values
)

// BackupInfo says what a backup holds.
type BackupInfo struct {
	// Device is what the device that made it is called, Created when, by its clock.
	Device  string    `json:"device"`
	Created time.Time `json:"created"`
	// Spaces names the spaces; Records counts the records of their stores.
	Spaces  []string `json:"-"`
	Records int      `json:"-"`
}

// backupSpaceRecord is what a backup keeps of a space besides its store: no space key, which would let its holder in.
type backupSpaceRecord struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Genesis string `json:"genesis"`
	Default bool   `json:"default,omitempty"`
}

// Backup writes a copy of all spaces, each as it is at one moment, while the device goes on. It holds the entries, their history, and
// what the spaces have seen, but not what makes this device a member: neither its key nor the keys of the spaces, no replica id, no
// invites. A backup that is cut off or damaged is recognised by [Restore]. [Node.Close] waits for what is being written to w.
func (n *Node) Backup(ctx context.Context, w io.Writer) (BackupInfo, error) {
	if err := n.ended(); err != nil {
		return BackupInfo{}, err
	}
	info := BackupInfo{Device: n.name, Created: n.cfg.Clock().UTC()}
	b := newBackupWriter(w)
	b.text(backupMagic)
	b.json(info)
	for _, s := range n.spaceList() {
		about := s.Info()
		b.kind(backupSpace)
		b.json(backupSpaceRecord{ID: s.id.String(), Name: about.Name, Genesis: fmt.Sprintf("%x", s.genesis), Default: about.Default})
		err := s.store.Copy(ctx, func(key, value []byte) error {
			if len(value) > backupPartMax { // Restore would refuse all of it
				p := ErrTooLarge.With("the record %q has %d bytes; one in a backup has at most %d", key, len(value), backupPartMax).
					Next("It is an entry with many large values. Decide which stay, then make the backup again:  peer conflicts")
				p.Limit = backupPartMax
				return p
			}
			info.Records++
			b.kind(backupRecord)
			b.bytes(key)
			b.bytes(value)
			return b.err
		})
		if err != nil && b.err == nil {
			return info, s.listProblem(ctx, err)
		}
		info.Spaces = append(info.Spaces, about.Name)
	}
	b.kind(backupEnd)
	b.number(uint64(info.Records))
	return info, b.end()
}

// A backupWriter writes and sums up. The first error stays.
type backupWriter struct {
	to  *bufio.Writer
	sum hash.Hash
	err error
	num [binary.MaxVarintLen64]byte
}

func newBackupWriter(w io.Writer) *backupWriter {
	b := &backupWriter{sum: sha256.New()}
	b.to = bufio.NewWriterSize(io.MultiWriter(w, b.sum), 64<<10)
	return b
}

func (b *backupWriter) write(p []byte) {
	if b.err == nil {
		_, b.err = b.to.Write(p)
	}
}

func (b *backupWriter) text(s string)   { b.write([]byte(s)) }
func (b *backupWriter) kind(k byte)     { b.write([]byte{k}) }
func (b *backupWriter) number(n uint64) { b.write(binary.AppendUvarint(b.num[:0], n)) }

func (b *backupWriter) bytes(p []byte) {
	b.number(uint64(len(p)))
	b.write(p)
}

func (b *backupWriter) json(v any) {
	p, err := json.Marshal(v)
	b.err = cmp.Or(b.err, err)
	b.bytes(p)
}

// end writes the sum of what was written before.
func (b *backupWriter) end() error {
	if b.err == nil {
		b.err = b.to.Flush()
	}
	b.write(b.sum.Sum(nil))
	if b.err == nil {
		b.err = b.to.Flush()
	}
	return b.err
}

// A backupReader reads and sums up. It reads ahead, but sums up only what was taken.
type backupReader struct {
	from *bufio.Reader
	sum  hash.Hash
}

var errCut = errors.New("it ends early")

func (b *backupReader) take(n int) ([]byte, error) {
	var buf bytes.Buffer // grows with what is there, not with what a damaged length claims
	if _, err := io.CopyN(&buf, b.from, int64(n)); err == io.EOF {
		return nil, errCut
	} else if err != nil {
		return nil, err
	}
	b.sum.Write(buf.Bytes())
	return buf.Bytes(), nil
}

// ReadByte implements [io.ByteReader].
func (b *backupReader) ReadByte() (byte, error) {
	c, err := b.from.ReadByte()
	if err == io.EOF {
		return 0, errCut
	}
	b.sum.Write([]byte{c})
	return c, err
}

func (b *backupReader) bytes() ([]byte, error) {
	n, err := binary.ReadUvarint(b)
	if err != nil {
		return nil, err
	}
	if n > backupPartMax {
		return nil, fmt.Errorf("a part of %d bytes", n)
	}
	return b.take(int(n))
}

func (b *backupReader) json(v any) error {
	p, err := b.bytes()
	if err == nil {
		err = json.Unmarshal(p, v)
	}
	return err
}

// end holds the sum of what was taken against the one that follows, and wants nothing after that.
func (b *backupReader) end() error {
	want := b.sum.Sum(nil)
	got, err := b.take(len(want))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("its checksum is wrong: a part of it was changed")
	}
	if _, err := b.from.ReadByte(); err != io.EOF {
		return errors.New("something follows its end")
	}
	return nil
}

// RestoreOptions says where a backup is restored.
type RestoreOptions struct {
	// Dir is the data directory to make, as for [Config]. It must not exist, or be empty.
	Dir string
	// Store chooses the backend, as for [Config]; "mem:" cannot be.
	Store string
}

// Restore makes a data directory of a backup. The directory appears when the backup was read to its end and found whole; after an error
// there is nothing, nor any of the folders around it that were not there before.
//
// What [Open] then opens is a new device that holds the data: it has a key and a replica id of its own, and is no member of the spaces
// until a member invites it. The old device may live on.
func Restore(ctx context.Context, r io.Reader, o RestoreOptions) (info BackupInfo, err error) {
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return BackupInfo{}, ErrDirNotEmpty.With("%s holds %d files or folders", o.Dir, len(entries))
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return BackupInfo{}, ErrStore.Because(err)
	}
	parent := filepath.Dir(filepath.Clean(o.Dir))
	unmake, err := makeFolders(parent)
	defer func() {
		if err != nil {
			unmake()
		}
	}()
	if err != nil {
		return BackupInfo{}, ErrStore.Because(err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(o.Dir)+".restore-*")
	if err != nil {
		return BackupInfo{}, ErrStore.Because(err)
	}
	defer os.RemoveAll(tmp)
	rs := restorer{dir: tmp, store: o.Store, in: backupReader{from: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}}
	if err := rs.run(ctx); err != nil {
		return rs.info, err
	}
	// Neither touches a directory that holds something, as the lock of a node that began to use it meanwhile.
	if err = os.Remove(o.Dir); err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Rename(tmp, o.Dir)
	}
	if entries, _ := os.ReadDir(o.Dir); err != nil && len(entries) > 0 {
		return rs.info, ErrDirNotEmpty.With("something began to use %s meanwhile", o.Dir)
	} else if err != nil {
		return rs.info, ErrStore.Because(err)
	}
	return rs.info, syncDir(parent)
}

// A restorer reads a backup into a directory.
type restorer struct {
	dir, store string
	in         backupReader
	info       BackupInfo
	dbs        []string
}

func (rs *restorer) run(ctx context.Context) error {
	magic, err := rs.in.take(len(backupMagic))
	if err != nil || string(magic) != backupMagic {
		if bytes.HasPrefix(magic, []byte("syncline backup ")) {
			return ErrStoreNewer.With("the backup is of version %q, this program reads 1", bytes.TrimSpace(magic[len("syncline backup "):]))
		}
		return ErrBackupBad.With("it does not begin as a backup does")
	}
	if err := rs.in.json(&rs.info); err != nil {
		return backupProblem(err)
	}
	kind, err := rs.in.ReadByte()
	for err == nil && kind == backupSpace {
		kind, err = rs.space(ctx)
	}
	if err == nil && kind != backupEnd {
		err = fmt.Errorf("a part of kind %q", kind)
	}
	if err == nil {
		err = rs.end()
	}
	if err == nil {
		err = rs.check(ctx)
	}
	return backupProblem(err)
}

// space restores one space, and returns the kind of the part after it.
func (rs *restorer) space(ctx context.Context) (kind byte, err error) {
	var about backupSpaceRecord
	if err := rs.in.json(&about); err != nil {
		return 0, err
	}
	key := make([]byte, 32) // of no use; the inviter gives the space's
	rand.Read(key)
	rec := spaceRecord{ID: about.ID, Name: about.Name, Key: fmt.Sprintf("%x", key), Genesis: about.Genesis, Joined: rs.info.Created}
	id, _, _, err := rec.parse() // the id names a folder; it is a hash, and no other name
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(rs.dir, spacesDir, id.String())
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return 0, ErrStore.Because(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, ErrStore.Because(err)
	}
	rs.dbs = append(rs.dbs, filepath.Join(dir, dbDir))
	ds, err := store.OpenBackend(rs.store, filepath.Join(dir, dbDir))
	if err != nil {
		return 0, openProblem(err)
	}
	defer ds.Close()
	err = store.Paste(ctx, ds, func() (k, v []byte, err error) {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if kind, err = rs.in.ReadByte(); err != nil {
			return nil, nil, err
		}
		if kind != backupRecord {
			return nil, nil, io.EOF
		}
		rs.info.Records++
		if k, err = rs.in.bytes(); err == nil {
			v, err = rs.in.bytes()
		}
		return k, v, err
	})
	if err != nil {
		return 0, err
	}
	rs.info.Spaces = append(rs.info.Spaces, about.Name)
	if about.Default {
		if err := writeFile(filepath.Join(rs.dir, defaultFile), []byte(about.ID+"\n")); err != nil {
			return 0, ErrStore.Because(err)
		}
	}
	if err := writeJSON(filepath.Join(dir, spaceFile), rec); err != nil {
		return 0, ErrStore.Because(err)
	}
	return kind, nil
}

func (rs *restorer) end() error {
	n, err := binary.ReadUvarint(&rs.in)
	if err != nil {
		return err
	}
	if n != uint64(rs.info.Records) {
		return fmt.Errorf("it holds %d records and should hold %d", rs.info.Records, n)
	}
	if err := rs.in.end(); err != nil {
		return err
	}
	if len(rs.info.Spaces) == 0 {
		return errors.New("it holds no space")
	}
	return nil
}

// check opens every store, so that one that this program cannot use is refused now.
func (rs *restorer) check(ctx context.Context) error {
	for _, db := range rs.dbs {
		ds, err := store.OpenBackend(rs.store, db)
		if err != nil {
			return openProblem(err)
		}
		_, err = store.Open(ctx, ds, store.Options{})
		if err := errors.Join(err, ds.Close()); err != nil {
			return openProblem(err)
		}
	}
	return nil
}

// backupProblem says of an error that is no Problem yet that the backup is to blame, unless the disk or the caller is.
func backupProblem(err error) error {
	var p *Problem
	switch {
	case err == nil, errors.As(err, &p), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case storeProblem(err).Code == ErrDiskFull.Code:
		return storeProblem(err)
	}
	return ErrBackupBad.Because(err)
}
