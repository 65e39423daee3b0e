package rounds

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/mdns"
)

// service is what coordinators announce themselves as.
const service = "_steplm._tcp"

// ValidName refuses a name that mDNS cannot carry.
func ValidName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	if name == "" || len(name) > 40 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q as a run's name: it has 1 to 40 lower-case letters, digits and dashes", name)
	}
	return nil
}

// quiet hears the library's notes, which are about other devices of the network.
var quiet = log.New(io.Discard, "", 0)

// renewEvery is how often a coordinator looks whether its addresses are still the ones that it announces: a laptop that
// joins another network has others, and is asked there by other machines.
const renewEvery = 5 * time.Second

// announce tells the local network where a run's coordinator listens, until it is stopped. It tells nothing but name,
// addresses and port. An error says that it could not at first; it is tried again all the same.
func announce(name string, port int) (stop func(), err error) {
	return announcing(name, port, addresses, renewEvery)
}

func announcing(name string, port int, addresses func() ([]net.IP, error), every time.Duration) (func(), error) {
	var told []net.IP
	leave := func() {}
	renew := func() error {
		ips, err := addresses()
		if err != nil || slices.EqualFunc(ips, told, net.IP.Equal) {
			return err
		}
		// Another one, since the one that is there listens to the network that was.
		another, err := announceAt(name, port, ips)
		if err == nil {
			leave()
			leave, told = another, ips
		}
		return err
	}
	err := renew()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = renew() // What fails now is tried again.
			case <-stop:
				leave()
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(stop); <-stopped }), err
}

func announceAt(name string, port int, ips []net.IP) (stop func(), err error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	host, _, _ = strings.Cut(host, ".")
	zone, err := mdns.NewMDNSService(name, service, "", host+".local.", port, ips, []string{protocol + name})
	if err != nil {
		return nil, err
	}
	s, err := mdns.NewServer(&mdns.Config{Zone: zone, Logger: quiet})
	if err != nil {
		return nil, err
	}
	return func() { _ = s.Shutdown() }, nil
}

// addresses are this machine's in local networks, the one by which it reaches multicast groups last: who asks takes the
// last one, and those of a bridge of containers, say, lead nowhere from another machine.
func addresses() (ips []net.IP, err error) {
	list, err := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	if len(ips) == 0 && err == nil {
		ips = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	// Nothing is sent: the system says from which address it would be.
	if c, err := net.Dial("udp4", "224.0.0.251:5353"); err == nil {
		defer c.Close()
		ips = last(ips, c.LocalAddr().(*net.UDPAddr).IP)
	}
	return ips, err
}

// last moves an address to the end of a list, if it is there.
func last(ips []net.IP, ip net.IP) []net.IP {
	i := slices.IndexFunc(ips, ip.Equal)
	if i < 0 {
		return ips
	}
	return append(slices.Delete(slices.Clone(ips), i, i+1), ip)
}

// askEvery is how often the local network is asked: a question can be lost, or come before a run begins.
const askEvery = time.Second

// Find asks the local network where a run's coordinator listens, again and again.
func Find(ctx context.Context, name string, wait time.Duration) (addr string, err error) {
	until := time.Now().Add(wait)
	for time.Now().Before(until) {
		addr, err = ask(ctx, name)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			return "", fmt.Errorf("the local network cannot be asked for the run %q: %w: has this machine a network? "+
				"An address can be given instead", name, err)
		case addr != "":
			return addr, nil
		}
	}
	return "", fmt.Errorf("no run %q was found in the local network within %s: is its first process there, and does "+
		"the network carry mDNS? Its address can be given instead", name, wait)
}

// ask asks once; "": nobody answered.
func ask(ctx context.Context, name string) (addr string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan *mdns.ServiceEntry, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- mdns.QueryContext(ctx, &mdns.QueryParam{Service: service, Domain: "local", Timeout: askEvery,
			Entries: found, Logger: quiet, DisableIPv6: true})
	}()
	for {
		select {
		case e := <-found:
			if strings.HasPrefix(e.Name, name+"."+service) && e.AddrV4 != nil {
				return net.JoinHostPort(e.AddrV4.String(), strconv.Itoa(e.Port)), nil
			}
		case err := <-ended:
			return "", cmp.Or(err, ctx.Err())
		}
	}
}
