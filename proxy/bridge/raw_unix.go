//go:build unix

package bridge

import (
	"os"
	"syscall"
)

const canReadRaw = true

// readRaw reads what a descriptor has. again says that it has nothing yet.
func readRaw(fd uintptr, p []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, true, nil
		}
		return n, false, os.NewSyscallError("read", err)
	}
}
