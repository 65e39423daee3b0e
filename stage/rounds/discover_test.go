package rounds

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// A run that listens beyond loopback is found by its name in the local network, and no other name is; one that listens
// on loopback alone tells the network nothing.
func TestRunsAreFoundByName(t *testing.T) {
	stop, err := announce("found", 7417)
	defer stop()
	if err != nil {
		t.Skipf("this machine has no network that carries mDNS: %v", err)
	}
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

// Of a machine's addresses the one is found that other machines reach, and not that of a bridge of containers, which
// each of them has itself.
func TestTheNetworksAddressIsFound(t *testing.T) {
	own, bridge := net.IPv4(192, 168, 1, 5), net.IPv4(172, 17, 0, 1)
	stop, err := announceAt("bridged", 7417, last([]net.IP{own, bridge}, own))
	if err != nil {
		t.Skipf("this machine has no network that carries mDNS: %v", err)
	}
	defer stop()
	addr, err := Find(context.Background(), "bridged", 5*time.Second)
	if err != nil {
		t.Skipf("this machine's network does not carry mDNS: %v", err)
	}
	if addr != "192.168.1.5:7417" {
		t.Errorf("it is found at %s", addr)
	}
	ips, err := addresses()
	c, unreached := net.Dial("udp4", "224.0.0.251:5353")
	if err != nil || unreached != nil {
		t.Skipf("this machine has no network: %v, %v", err, unreached)
	}
	defer c.Close()
	if ip := c.LocalAddr().(*net.UDPAddr).IP; !ips[len(ips)-1].Equal(ip) {
		t.Errorf("of %v, %s is not the last", ips, ip)
	}
}

// A run is found that begins after it was asked for, and where the first question was lost.
func TestARunIsFoundThatBeginsLater(t *testing.T) {
	stop, err := announce("now", 7417)
	defer stop()
	if err != nil {
		t.Skipf("this machine has no network that carries mDNS: %v", err)
	}
	if _, err := Find(context.Background(), "now", 5*time.Second); err != nil {
		t.Skipf("this machine's network does not carry mDNS: %v", err)
	}
	found := make(chan error, 1)
	go func() {
		_, err := Find(context.Background(), "later", 10*time.Second)
		found <- err
	}()
	time.Sleep(500 * time.Millisecond)
	later, err := announce("later", 7418)
	defer later()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// A run whose first machine gets another address, or is in no network at first, is found at the one that it has.
func TestARunIsFoundThatMoves(t *testing.T) {
	var at atomic.Pointer[net.IP]
	stop, err := announcing("moved", 7417, func() ([]net.IP, error) {
		if ip := at.Load(); ip != nil {
			return []net.IP{*ip}, nil
		}
		return nil, errors.New("no network")
	}, 20*time.Millisecond)
	defer stop()
	if err == nil {
		t.Error("no network is no error")
	}
	for _, ip := range []net.IP{net.IPv4(192, 168, 1, 5), net.IPv4(192, 168, 1, 6)} {
		at.Store(&ip)
		time.Sleep(200 * time.Millisecond)
		addr, err := Find(context.Background(), "moved", 5*time.Second)
		if err != nil {
			t.Skipf("this machine's network does not carry mDNS: %v", err)
		}
		if want := ip.String() + ":7417"; addr != want {
			t.Errorf("it is found at %s, want %s", addr, want)
		}
	}
}
