// Package check holds the deploy files against the code of those who read them:
// compose-go, BuildKit's Dockerfile parser and linter, the types of Kubernetes and
// CloudNativePG, systemd-analyze; and it builds the binary as the image does.
//
// It is a module of its own, because these libraries are far larger than the
// program. What cannot be run without the platform itself (an image build, a
// cluster, the platforms' own parsers) is listed in docs/deployment.md.
package check
