//go:build !linux

package bridge

import "net"

func keepShort(net.Conn) {}
