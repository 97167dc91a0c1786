package wire

import (
	"time"

	"syncline/node"
)

// Schemas of the documents about backups.
const (
	SchemaBackup        = "peer.backup/v1"
	SchemaBackupRestore = "peer.backup-restore/v1"
)

// Backup says where a backup was written, and its size in bytes.
type Backup struct {
	Schema string `json:"schema"`
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
}

// BackupRestored says what was restored: the spaces that the device called Device had at Created, into the data folder Dir.
type BackupRestored struct {
	Schema  string    `json:"schema"`
	Dir     string    `json:"dir"`
	Device  string    `json:"device"`
	Created time.Time `json:"created"`
	Spaces  []string  `json:"spaces"`
	Records int       `json:"records"`
}

// BackupRestoredOf returns the document for what was restored into dir.
func BackupRestoredOf(info node.BackupInfo, dir string) BackupRestored {
	return BackupRestored{
		Schema: SchemaBackupRestore, Dir: dir, Device: info.Device, Created: info.Created, Spaces: info.Spaces, Records: info.Records,
	}
}
