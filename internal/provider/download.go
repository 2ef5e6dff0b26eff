package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"syscall"
	"time"
)

// MaxFile is the largest result that is downloaded: what a bot may upload.
const MaxFile = 50 << 20 // bytes

// ErrForbiddenAddress says that a URL does not lead to a public https server.
var ErrForbiddenAddress = errors.New("the address is not a public https server")

// Downloader fetches result files. A result's URL comes from outside, so only
// public https servers are asked: every resolved address of every hop is
// checked after resolution. The origins named at construction are exempt, and
// nothing else.
type Downloader struct {
	exempt map[string]bool
	public *http.Client
	plain  *http.Client
}

// NewDownloader returns a downloader that also trusts the origins (scheme, host
// and port) of the given URLs when they are on the loopback interface: the simulators.
func NewDownloader(trusted ...string) *Downloader {
	d := &Downloader{exempt: map[string]bool{}}
	for _, t := range trusted {
		if u, err := url.Parse(t); err == nil && isLoopback(u.Hostname()) {
			d.exempt[origin(u)] = true
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: refusePrivate}
	d.public = &http.Client{
		Timeout:       2 * time.Minute,
		Transport:     &http.Transport{DialContext: dialer.DialContext, Proxy: nil, ForceAttemptHTTP2: true},
		CheckRedirect: d.checkRedirect,
	}
	d.plain = &http.Client{Timeout: 2 * time.Minute, CheckRedirect: d.checkRedirect}
	return d
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// File is an open download. Close its body.
type File struct {
	Body io.ReadCloser
	Name string
	Size int64 // -1 when unknown
}

// Open starts a download. More than MaxFile bytes end in an error of Read.
func (d *Downloader) Open(ctx context.Context, address string) (*File, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read the address: %w", ErrForbiddenAddress)
	}
	client := d.public
	if d.exempt[origin(u)] {
		client = d.plain
	} else if u.Scheme != "https" || u.User != nil {
		return nil, ErrForbiddenAddress
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("build the download: %w", err)
	}
	req.Header.Set("User-Agent", "kiosk/1") // some file hosts refuse requests without one
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("download: %w", withoutAddress(err))
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("download: the server answered %s", resp.Status)
	}
	if resp.ContentLength > MaxFile {
		resp.Body.Close()
		return nil, fmt.Errorf("download: %d bytes are over the limit of %d", resp.ContentLength, int64(MaxFile))
	}
	return &File{
		Body: http.MaxBytesReader(nil, resp.Body, MaxFile),
		Name: path.Base(u.Path), Size: resp.ContentLength,
	}, nil
}

// withoutAddress drops the URL, which whoever reads it could download.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

const maxRedirects = 3

// checkRedirect lets a hop stay exempt or lead to a public https server, never
// from an exempt origin to a private one.
func (d *Downloader) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	first := d.exempt[origin(via[0].URL)]
	if first != d.exempt[origin(req.URL)] || !first && (req.URL.Scheme != "https" || req.URL.User != nil) {
		return ErrForbiddenAddress
	}
	return nil
}

// refusePrivate runs after name resolution, right before each connection.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(ap.Addr()) {
		return ErrForbiddenAddress
	}
	return nil
}

// isPublic excludes everything that is not a globally routed unicast address,
// also when it hides in a v4-mapped, NAT64 or 6to4 form.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, block := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	} {
		if netip.MustParsePrefix(block).Contains(a) {
			return false
		}
	}
	return true
}
