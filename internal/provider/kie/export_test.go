package kie

import "net/http"

// Via makes all calls through another transport.
func Via(rt http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = rt }
}
