// Package store keeps one replica's state in a key-value datastore: registers, contexts, indexes and counts, always consistent with
// each other.
//
// # What survives
//
// A [Tx] is committed as one batch of the datastore, which applies it as a whole or not at all: there is no moment, on disk or in
// memory, at which the context covers what is not there. After a crash a store is as it was after one of its commits, and none of
// those that a returned [Store.Sync] covers is missing. Commit does not wait for the disk; whoever promises durability calls Sync
// first, once for as many commits as there are.
//
// A Sync that fails makes the store read-only until it is opened again ([ErrUnsynced]): what the disk did not take may be lost although
// it can still be read, and no later Sync would tell. See [Store.Failed].
//
// A full disk makes Commit fail with an error that wraps [syscall.ENOSPC], changes nothing, and leaves the store usable. A record
// that does not decode is a [CorruptError] for those who read it, and nobody else.
//
// # Who may go on writing under a replica id
//
// A replica id must never be continued by two copies of the data, nor by an older one. So Open offers the id only if the last close
// was clean and left a token outside the data ([BootToken]) that still says the same as the data: id, counter, and a nonce drawn at
// that close. The first commit of a run removes the token and takes the clean mark back, durably, before it writes anything. A
// crash, a restart of the machine, a copy, a move and a restored backup all end in a fresh id.
//
// # Layout
//
// Keys are text; their order by bytes is the order of what they stand for. Numbers in keys are in lower-case hexadecimal, shortest
// form, with the number of digits, itself a hexadecimal digit, before them: 0 is "10", 5 is "15", 1000 is "33e8". <ord> is the
// ordinal of a replica: replicas are numbered from 0 in the order in which this store met them. <ctr> is a counter. A path stands
// in a key as it is. User paths do not begin with a slash, system paths do.
//
//	/m                      format: version of the layout, a varint; now 4
//	/h                      head: digest (32 bytes, little-endian), clock (8), then five varints: user entries, bytes, conflicts,
//	                        system entries, remembered deletes; since version 2 of the record one more: the position of the next past value
//	/n                      incarnation: flags (1: closed clean), replica id (8), nonce (16; zero unless clean); missing if this
//	                        store never wrote
//	/v/<ord>                replica: id (8), counter in the context, counter in the floor; two varints
//	/b/<n>                  the n-th part of a replica that fills range by range: its first path, its context, both with their
//	                        lengths before them, its floor; see [crdt.AppendVector]. None if there is one part; else /v has
//	                        the joins of all
//	/o/<ord>                binding of the replica to a device, as its first operation carried it; missing if not known
//	/d/<path>               live values of a user path, see [crdt.AppendValues]
//	/s<path>                live values of a system path
//	/r/d/<path>, /r/s<path> remembered deletes of a user or a system path, see [crdt.AppendDeletes]
//	/i/<ord>/<ctr>:<path>   empty: an entry of operation <ctr> is live at the path
//	/x/<ord>/<ctr>:<path>   empty: operation <ctr> deleted the path, and that is remembered
//	/c/<path>               empty: the user path waits for a decision
//	/p/<key>                local record of the node, not replicated
//	/y/<len>/<path>:<pos>   past value of a user path, whose length in bytes is <len>: wall time when it became past, a varint;
//	                        how (1: 0 unseen, 1 put, 2 delete, 3 resolve, 4 policy); replica (8), counter (varint) and time (8)
//	                        of what replaced it, zeros if not known; name of the policy, with its length before it; the
//	                        value, see [crdt.AppendValues]
//	/w                      sweep over /y, missing before the first: position at which the lap began, position below which
//	                        everything goes, two varints; the key to go on from, with its length before it; then for each
//	                        bucket of ages that is not empty its number and the bytes kept there, two varints
//
// <pos> is a position in history: it counts one for each past value, and one more for each 4,096 bytes of one, so that keys of one
// path are in the order of time.
//
// The first byte of every value that is not empty is the version of its record, 2 for the head, 1 for all others; integers of fixed length are big-endian,
// varints unsigned LEB128 in the shortest form. A record that would be empty of meaning is deleted: no register without values, no
// list without deletes.
//
// The boot token is a file outside the data: a CBOR array of version (1), replica id, counter, nonce, machine id, boot id, and the
// device, inode and birth time (nanoseconds since 1970) of the data directory.
//
// A store of layout 1, which has no history, 2, which has no parts, or 3, whose values have no descent, is read, and raised to layout 4 by
// its first commit. A program that knows the older layouts only then refuses it as newer.
//
// # What is kept of the past
//
// The values that a commit takes out of the live ones, whoever wrote what replaces them, are kept in the same batch, within
// [HistoryBounds]. They are local: not replicated, not in the digest, and nothing of the live state depends on them. A write costs
// one record more for each value that it replaces; what goes beyond the bounds is deleted by a sweep that costs a fixed share of
// what is written.
//
// # Backends
//
// Any [datastore.Batching] whose batches are atomic will do. [Ranger], [ByteReader], [ReadOpener], [ByteBatch] and [GrowingBatch] are ways
// around the costs of its interface, [AroundRanger], [FreeingBatcher] and [Reopener] around damaged files, full disks and failures.
// Packages pebbledb, leveldb and mem offer what they can. Package storetest is the suite that a backend must pass.
package store
