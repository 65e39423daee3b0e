package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"steplm/cmd/steplm/internal/flags"
)

// KeyVariable is the environment's variable that may have the key.
const KeyVariable = "STEPLM_API_KEY"

// readKey is the key of a file, else the environment's; "": there is none.
func readKey(path string) (string, error) {
	where, key := "the environment's "+KeyVariable, os.Getenv(KeyVariable)
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		where, key = path, strings.TrimSpace(string(text))
		if key == "" {
			return "", fmt.Errorf("%s has no key: it is empty", path)
		}
	}
	const most = 4096
	if len(key) > most || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s is no key: one has at most %d characters, of ASCII, without blanks", where, most)
	}
	return key, nil
}

// listen takes a port. Without a key it must be this machine's alone.
func listen(ctx context.Context, host string, port int, key bool) (net.Listener, error) {
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("--host %s: %w", host, err)
	}
	for _, ip := range list {
		if !key && !ip.Unmap().IsLoopback() {
			return nil, flags.Usagef("--host %s lets other machines ask: give a key, by --api-key-file or the "+
				"environment's %s", host, KeyVariable)
		}
	}
	for _, ip := range list {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return nil, fmt.Errorf("port %d of %s cannot be had: %w", port, host, err)
}
