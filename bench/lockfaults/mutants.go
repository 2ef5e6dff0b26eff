package main

import (
	"context"
	"io"
)

// mutation is what became of one mutant.
type mutation struct {
	Name     string `json:"mutant"`
	Scenario string `json:"scenario"`
	Runs     int    `json:"runs"`
	Red      int    `json:"red"`
	Killed   bool   `json:"killed"`
	Noticed  string `json:"noticed,omitempty"`
}

func runMutants(ctx context.Context, chosen []scenario, out io.Writer) ([]mutation, error) {
	return nil, nil
}
