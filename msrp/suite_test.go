package msrp_test

import (
	"net"
	"testing"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

func TestSuiteOverPipe(t *testing.T) {
	msrptest.Suite(t, func(t *testing.T) (*msrp.Session, *msrp.Session) {
		a, b := net.Pipe()
		alice, bob := msrptest.Pair(t, a, b, msrptest.Options{}, msrptest.Options{})
		return alice.Session, bob.Session
	})
}
