//go:build !linux

package store

import (
	"errors"
	"fmt"
)

// currentPlace is not known here, so that every start that writes takes a fresh replica id.
func currentPlace(string) (place, error) {
	return place{}, fmt.Errorf("boot and directory identity: %w", errors.ErrUnsupported)
}
