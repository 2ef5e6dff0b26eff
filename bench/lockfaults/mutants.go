package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// mutantRuns is how often every mutant must be noticed, without exception.
const mutantRuns = 3

// mutation is one safeguard removed and what became of it. One without a patch is
// the program as it is, which must stay green where the others turn red.
type mutation struct {
	Name     string `json:"mutant"`
	What     string `json:"what"`
	Scenario string `json:"scenario"`
	Rounds   int    `json:"rounds"`
	Runs     int    `json:"runs"`
	Red      int    `json:"red"`
	Killed   bool   `json:"killed"` // of a control: it was green every time
	Control  bool   `json:"control,omitempty"`
	Noticed  string `json:"noticed_by,omitempty"`

	patch string
}

// runMutants builds every mutant in a copy of the module and runs the scenario
// that its patch names. It needs the sources, go and git.
func runMutants(ctx context.Context, o options, chosen []scenario, out io.Writer) ([]mutation, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	list, err := readMutants(filepath.Join(root, "bench", "lockfaults", "mutants"), chosen)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "lockfaults-mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	fmt.Fprintf(out, "\n%d mutants and controls, %d runs each\n", len(list), mutantRuns)
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	places := make(chan struct{}, max(o.parallel/2, 1))
	for i := range list {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			err := list[i].run(ctx, root, filepath.Join(work, list[i].Name))
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			if fmt.Fprintln(out, list[i].line()); err != nil {
				fmt.Fprintln(out, err)
			}
		})
	}
	all.Wait()
	return list, errors.Join(errs...)
}

func (m *mutation) line() string {
	return fmt.Sprintf("%-34s %-24s red in %d of %d  %s", m.Name, m.Scenario, m.Red, m.Runs, strings.ReplaceAll(m.Noticed, "\n", " "))
}

// moduleRoot is the folder of the main module, which the benchmarks replace.
func moduleRoot(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "kiosk").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources: %w; run the mutants in the folder bench", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// readMutants reads the patches whose scenarios were chosen, and adds a control
// for each of these.
func readMutants(folder string, chosen []scenario) ([]mutation, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.patch"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(fmt.Errorf("no mutants in %s", folder), err)
	}
	known := map[string]bool{}
	for _, s := range chosen {
		known[s.name] = true
	}
	var list []mutation
	controls := map[string]int{}
	for _, file := range files {
		m, err := readMutant(file)
		if err != nil {
			return nil, err
		}
		if known[m.Scenario] {
			list = append(list, m)
			controls[m.Scenario] = max(controls[m.Scenario], m.Rounds)
		}
	}
	for scenario, rounds := range controls {
		list = append(list, mutation{Name: "control-" + scenario, What: "nothing changed", Scenario: scenario, Rounds: rounds, Control: true})
	}
	return list, nil
}

// readMutant reads a patch. Above its first file it says, in lines of their own,
// "Scenario:" and "Rounds:", and what it breaks.
func readMutant(file string) (mutation, error) {
	text, err := os.ReadFile(file) //nolint:gosec // a file of this repository
	if err != nil {
		return mutation{}, err
	}
	m := mutation{Name: strings.TrimSuffix(filepath.Base(file), ".patch"), Rounds: 1, patch: file}
	head, _, _ := strings.Cut(string(text), "\n--- ")
	for line := range strings.Lines(head) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case ok && key == "Scenario":
			m.Scenario = value
		case ok && key == "Rounds":
			if m.Rounds, err = strconv.Atoi(value); err != nil {
				return m, fmt.Errorf("%s: rounds %q", file, value)
			}
		default:
			m.What = cmp.Or(m.What, strings.TrimSpace(line))
		}
	}
	if !named(m.Scenario, allNames()) {
		return m, fmt.Errorf("%s names the unknown scenario %q", file, m.Scenario)
	}
	return m, nil
}

func allNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ",")
}

// run builds the mutant and runs it. An error is one of this program: a mutant
// that cannot be built says nothing.
func (m *mutation) run(ctx context.Context, root, dir string) error {
	defer os.RemoveAll(dir)
	if err := copySources(root, dir); err != nil {
		return fmt.Errorf("%s: copy the sources: %w", m.Name, err)
	}
	if m.patch != "" {
		if err := call(ctx, dir, "git", "apply", "-C1", m.patch); err != nil {
			return fmt.Errorf("%s does not fit the sources any more: %w", m.Name, err)
		}
	}
	binary := filepath.Join(dir, "mutant")
	if err := call(ctx, filepath.Join(dir, "bench"), "go", "build", "-o", binary, "./lockfaults"); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	for range mutantRuns {
		red, why, err := m.once(ctx, binary, filepath.Join(dir, "result.json"))
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		m.Runs++
		if red {
			m.Red++
			m.Noticed = cmp.Or(m.Noticed, why)
		}
	}
	m.Killed = m.Red == m.Runs
	if m.Control {
		m.Killed = m.Red == 0
	}
	return nil
}

// once runs the scenario and reports whether it failed. Times do not count: they
// would make a mutant of every busy machine.
func (m *mutation) once(ctx context.Context, binary, file string) (red bool, why string, err error) {
	cmd := exec.CommandContext(ctx, binary, "--only", m.Scenario, "--times", strconv.Itoa(m.Rounds), "--no-limits", "--json", file) //nolint:gosec // built above
	cmd.SysProcAttr = attributes(syscall.SIGTERM)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it has servers to stop
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	runErr := cmd.Run()
	text, err := os.ReadFile(file) //nolint:gosec // named above
	if err != nil {
		return false, "", fmt.Errorf("no result: %w: %s", errors.Join(runErr, err), said.String())
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil || len(r.Results) != 1 {
		return false, "", fmt.Errorf("a result of %d lines: %w", len(r.Results), err)
	}
	line := r.Results[0]
	if line.Skipped != "" {
		return false, "", fmt.Errorf("%s was not run: %s", line.Name, line.Skipped)
	}
	if len(line.Failures) > 0 {
		why, _, _ = strings.Cut(line.Failures[len(line.Failures)-1], "\n")
	}
	return !line.Pass, why, nil
}

func call(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // go and git
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, said)
	}
	return nil
}

// copySources copies what a build needs. Hidden folders are left out.
func copySources(root, dir string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, rel), 0o755) //nolint:gosec // sources
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // sources
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), text, 0o644) //nolint:gosec // sources
	})
}
