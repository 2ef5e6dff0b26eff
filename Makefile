.DEFAULT_GOAL := help
.PHONY: help dev test lint check

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

dev: ## run the whole system on this machine
	go run ./cmd/kiosk dev

test: ## all tests, with the race detector
	go test -race ./...

lint: ## go vet and golangci-lint (installed into .bin on first use)
	go vet ./...
	.ci/lint

check: ## what CI runs
	.ci/run
