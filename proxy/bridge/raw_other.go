//go:build !unix

package bridge

import "errors"

const canReadRaw = false

func readRaw(uintptr, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }

func writeRaw(uintptr, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }
