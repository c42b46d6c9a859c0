//go:build unix

package bridge

import (
	"os"
	"syscall"
)

const canReadRaw = true

// readRaw reads what a descriptor has. again says that it has nothing yet.
func readRaw(fd uintptr, p []byte) (n int, again bool, err error) {
	return raw("read", read, fd, p)
}

// writeRaw writes what a descriptor takes. again says that it takes nothing now.
func writeRaw(fd uintptr, p []byte) (n int, again bool, err error) {
	return raw("write", write, fd, p)
}

func raw(name string, call func(fd uintptr, p []byte) (int, error), fd uintptr, p []byte) (n int, again bool, err error) {
	for {
		n, err = call(fd, p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, true, nil
		}
		return n, false, os.NewSyscallError(name, err)
	}
}
