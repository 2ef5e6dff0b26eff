package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// prompter asks on stderr and reads answers from stdin: from a terminal, or from
// a script that writes one answer a line.
type prompter struct {
	in  *bufio.Reader
	out io.Writer
	tty int // descriptor of the terminal, -1 for none
}

func newPrompter(in io.Reader, out io.Writer) *prompter {
	p := &prompter{in: bufio.NewReader(in), out: out, tty: -1}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.tty = int(f.Fd())
	}
	return p
}

var errInputEnded = errors.New("the input ended before all questions were answered; answer them, or set the settings and use --yes")

// line asks for one line.
func (p *prompter) line(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.out, question+" ")
	return p.read(ctx, func() (string, error) {
		text, err := p.in.ReadString('\n')
		if p.tty < 0 {
			fmt.Fprintln(p.out) // nobody has typed the end of the line
		}
		if errors.Is(err, io.EOF) && text == "" {
			return "", errInputEnded
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		return strings.TrimSpace(text), nil
	})
}

// secret asks for one line that a terminal does not show.
func (p *prompter) secret(ctx context.Context, question string) (string, error) {
	if p.tty < 0 {
		return p.line(ctx, question)
	}
	state, err := term.GetState(p.tty)
	if err != nil {
		return "", fmt.Errorf("read the terminal's state: %w", err)
	}
	fmt.Fprint(p.out, question+" (not shown) ")
	text, err := p.read(ctx, func() (string, error) {
		raw, err := term.ReadPassword(p.tty)
		if errors.Is(err, io.EOF) {
			return "", errInputEnded
		}
		return strings.TrimSpace(string(raw)), err
	})
	if ctx.Err() != nil {
		_ = term.Restore(p.tty, state) // the reader still waits, with the echo off
	}
	fmt.Fprintln(p.out)
	return text, err
}

// read waits for an answer or for Ctrl-C.
func (p *prompter) read(ctx context.Context, get func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := get()
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
		return "", errors.New("stopped; nothing was written")
	}
}

// confirm asks for yes or no; an empty answer is no.
func (p *prompter) confirm(ctx context.Context, question string) (bool, error) {
	text, err := p.line(ctx, question+" [y/N]")
	return strings.EqualFold(text, "y") || strings.EqualFold(text, "yes"), err
}
