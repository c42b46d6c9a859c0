package sip

import (
	"os"
	"testing"

	"github.com/webmsrp/webmsrp/msrp/msrptest"
)

func TestMain(m *testing.M) { os.Exit(msrptest.CheckLeaks(m)) }
