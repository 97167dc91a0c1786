package node

import (
	"errors"
	"fmt"
	"strings"
)

// A Problem is the one error object of Syncline: Go programs get it as an error, HTTP clients as application/problem+json
// (RFC 9457), the command line prints its three lines: what went wrong, why, what to do next.
//
// Compare with errors.Is and the Err… values, which match by Code alone, or look at the fields after errors.As.
type Problem struct {
	// Code is the stable key, in snake_case. Programs branch on it.
	Code string
	// Status is the HTTP status that fits the problem.
	Status int
	// Title says what went wrong, in words that do not change from one occurrence to the next.
	Title string
	// Detail says what happened this time, and why.
	Detail string
	// Hint says what to do next; it may hold several lines.
	Hint string
	// Path and Version name the entry and its version now, where there is one.
	Path, Version string
	// Limit is the bound that was exceeded, in bytes, where there is one.
	Limit int
	// Index is the position of the failing operation in a transaction or of the failing line in an import, from 1; 0 elsewhere.
	Index int
	// Retryable says that the same request may succeed later.
	Retryable bool
	// Cause is the error below, if any; it is not sent to clients.
	Cause error
}

// Error returns title, path and detail in one line, the path once.
func (p *Problem) Error() string {
	parts := []string{p.Title}
	if p.Path != "" && !strings.Contains(p.Detail, p.Path) {
		parts = append(parts, p.Path)
	}
	if p.Detail != "" {
		parts = append(parts, p.Detail)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Is reports whether target is a Problem with the same code.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// With returns a copy of p that tells of one occurrence.
func (p *Problem) With(format string, args ...any) *Problem {
	q := *p
	q.Detail = fmt.Sprintf(format, args...)
	return &q
}

// On returns a copy of p about one path.
func (p *Problem) On(path string) *Problem {
	q := *p
	q.Path = path
	return &q
}

// Next returns a copy of p with another hint.
func (p *Problem) Next(hint string) *Problem {
	q := *p
	q.Hint = hint
	return &q
}

// Because returns a copy of p with the error below it.
func (p *Problem) Because(cause error) *Problem {
	q := *p
	q.Cause = cause
	if q.Detail == "" && cause != nil {
		q.Detail = cause.Error()
	}
	return &q
}

// ProblemOf returns the Problem in err's chain, or an ErrInternal that wraps err.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return ErrInternal.Because(err)
}

// The problems that a caller may branch on. docs/reference/errors.md lists them with their causes.
var (
	ErrNotFound        = &Problem{Code: "not_found", Status: 404, Title: "Not found here", Hint: "peer ls lists what is here."}
	ErrBadPath         = &Problem{Code: "bad_path", Status: 400, Title: "Not a usable path", Hint: "A path is 1 to 1,024 bytes of UTF-8: segments joined by single slashes, none of them empty, “.” or “..”, no control characters."}
	ErrBadRequest      = &Problem{Code: "bad_request", Status: 400, Title: "Request not understood"}
	ErrTooLarge        = &Problem{Code: "too_large", Status: 413, Title: "Too large"}
	ErrVersionMismatch = &Problem{Code: "version_mismatch", Status: 412, Title: "Version differs", Hint: "Read it again, then write."}
	ErrExists          = &Problem{Code: "already_exists", Status: 412, Title: "Already exists", Hint: "Read it, or write without the condition that it is absent."}
	ErrNoConflict      = &Problem{Code: "no_conflict", Status: 404, Title: "No open conflict", Hint: "peer conflicts lists what is open."}
	ErrMergeFailed     = &Problem{Code: "merge_failed", Status: 422, Title: "The values could not be combined", Hint: "Decide by hand: peer resolve PATH --keep 1, --value TEXT or --edit."}
	ErrChangedSince    = &Problem{Code: "changed_since", Status: 409, Title: "The entry changed since", Hint: "peer history PATH shows what there was, and peer restore brings a value back."}
	ErrCursorExpired   = &Problem{Code: "cursor_expired", Status: 410, Title: "Cursor is too old", Hint: "List again from the beginning, then go on with the new cursor."}
	ErrHistoryExpired  = &Problem{Code: "history_expired", Status: 410, Title: "That version is not kept here", Hint: "peer history PATH lists what is. Another device may have it: history is local."}
	ErrBackupBad       = &Problem{Code: "backup_invalid", Status: 400, Title: "Not a whole backup", Hint: "Use another copy of the file; nothing was changed."}
	ErrDirNotEmpty     = &Problem{Code: "dir_not_empty", Status: 409, Title: "Cannot restore: the folder is not empty", Hint: "Name a folder that does not exist yet; nothing was changed."}
	ErrFilling         = &Problem{Code: "filling", Status: 503, Title: "Not all entries are here yet", Hint: "peer status shows how far it is.", Retryable: true}
	ErrNotCaughtUp     = &Problem{Code: "not_caught_up", Status: 504, Title: "Not caught up in time", Retryable: true}
	ErrNoSpace         = &Problem{Code: "space_unknown", Status: 404, Title: "No such space"}
	ErrSpaceLeft       = &Problem{Code: "space_left", Status: 503, Title: "This space was left", Hint: "Ask for the space again: Node.Space; over HTTP, repeat the request.", Retryable: true}
	ErrNoDevice        = &Problem{Code: "device_unknown", Status: 404, Title: "No such device", Hint: "peer devices lists them."}
	ErrDiskFull        = &Problem{Code: "disk_full", Status: 507, Title: "The disk is full", Hint: "Nothing was written and nothing was lost. Free some space, or delete entries:  peer del", Retryable: true}
	ErrStore           = &Problem{Code: "store_failed", Status: 500, Title: "The store failed"}
	ErrFileDamaged     = &Problem{Code: "file_damaged", Status: 500, Title: "A file of the store is damaged", Hint: "See what to do about it:  peer status"}
	ErrStoreNewer      = &Problem{Code: "store_newer", Status: 500, Title: "The store was written by a newer version", Hint: "Install the newer version of peer; nothing was changed."}
	ErrStoreOther      = &Problem{Code: "store_other", Status: 409, Title: "The store belongs to another backend", Hint: "Start with the one that it was begun with (--store); nothing was changed. To change: peer export there, and peer import into a new folder."}
	ErrDirInUse        = &Problem{Code: "dir_in_use", Status: 409, Title: "Cannot start: another peer uses this data directory"}
	ErrKeyExposed      = &Problem{Code: "key_exposed", Status: 500, Title: "The device key can be read by others"}
	ErrPortInUse       = &Problem{Code: "port_in_use", Status: 409, Title: "The port is in use"}
	ErrNetwork         = &Problem{Code: "network_failed", Status: 500, Title: "The network cannot be started", Hint: "Choose other addresses with --listen, or none: then it listens on all, at a port of its own."}
	ErrTwin            = &Problem{Code: "twin_device", Status: 409, Title: "Another live device has the same key", Hint: "On the copy: peer down, then peer up --new-identity; then invite it."}
	ErrTicketBad       = &Problem{Code: "ticket_invalid", Status: 400, Title: "Not a valid ticket", Hint: "Copy the whole ticket again, from “peer:” to its last character."}
	ErrTicketExpired   = &Problem{Code: "invite_expired", Status: 410, Title: "The invite has expired", Hint: "Make a new one on the other device: peer invite."}
	ErrTicketSpent     = &Problem{Code: "invite_used", Status: 409, Title: "The invite was used already", Hint: "Make a new one on the other device: peer invite."}
	ErrTicketUnknown   = &Problem{Code: "invite_unknown", Status: 404, Title: "No such invite", Hint: "Make a new one on the other device: peer invite."}
	ErrMember          = &Problem{Code: "already_member", Status: 409, Title: "Already joined"}
	ErrJoinDenied      = &Problem{Code: "join_denied", Status: 403, Title: "The other device did not let this one in"}
	ErrUnreachable     = &Problem{Code: "unreachable", Status: 504, Title: "The other device cannot be reached", Retryable: true}
	ErrNowhere         = &Problem{Code: "not_elsewhere", Status: 409, Title: "No connected device has it", Hint: "Connect a device that has it, and run peer repair again.\nOr delete it with  peer repair PATH --give-up  and put it again, from a backup if there is one."}
	ErrLost            = &Problem{Code: "damaged_elsewhere", Status: 409, Title: "Damaged on other devices, too", Hint: "Connect a device that can read it, and run peer repair again.\nOr delete it with  peer repair PATH --give-up  and put it again, from a backup if there is one."}
	ErrTooManyValues   = &Problem{Code: AlarmValues, Status: 409, Title: "It has more values than can be exchanged", Hint: "Decide that conflict on the device that has the values:  peer resolve PATH.  Then run peer repair here again."}
	ErrLocalOnly       = &Problem{Code: "local_only", Status: 409, Title: "This node has no network"}
	ErrClosed          = &Problem{Code: "closed", Status: 503, Title: "The node is closing", Retryable: true}
	ErrForbidden       = &Problem{Code: "forbidden", Status: 403, Title: "Not allowed"}
	ErrInternal        = &Problem{Code: "internal", Status: 500, Title: "Something broke inside peer", Hint: "Please report it, with the output of peer version and peer status."}
)
