//go:build linux && !race

package bridge

import (
	"syscall"
	"unsafe"
)

// Neither call blocks, so the scheduler need not know of it.

func read(fd uintptr, p []byte) (int, error) { return unscheduled(syscall.SYS_READ, fd, p) }

func write(fd uintptr, p []byte) (int, error) { return unscheduled(syscall.SYS_WRITE, fd, p) }

func unscheduled(number, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
