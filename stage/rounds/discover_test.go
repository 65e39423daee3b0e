package rounds

import (
	"context"
	"net"
	"testing"
	"time"
)

// A run that listens beyond loopback is found by its name in the local network, and no other name is; one that listens
// on loopback alone tells the network nothing.
func TestRunsAreFoundByName(t *testing.T) {
	stop, err := announce("found", 7417)
	if err != nil {
		t.Skipf("this machine has no network that carries mDNS: %v", err)
	}
	defer stop()
	addr, err := Find(context.Background(), "found", 5*time.Second)
	if err != nil {
		t.Skipf("this machine's network does not carry mDNS: %v", err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "7417" || net.ParseIP(host) == nil {
		t.Errorf("it is found at %q", addr)
	}
	if addr, err := Find(context.Background(), "foun", time.Second); err == nil {
		t.Errorf("another name is found at %s", addr)
	}
	f := newFixture(t, 8)
	if f.c.stop != nil {
		t.Error("a run on loopback is announced")
	}
}
