# Nothing but git, make, gcc and Go is needed. Third-party protos are rendered from the linked Go modules.
DEPS  := .build/protodeps
BUF   := go tool buf
BASE  ?= main
GO    ?= go

.PHONY: all build generate check lint breaking fresh vet test race fuzz demo run clean
all: check test build

build: ## the one binary, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/klarna-gateway ./cmd/klarna-gateway

$(DEPS)/.stamp: go.mod proto/internal/protodeps/main.go
	rm -rf $(DEPS) && $(GO) run ./proto/internal/protodeps $(DEPS) && touch $@

generate: $(DEPS)/.stamp ## Go messages, gRPC, REST gateway and OpenAPI under gen/
	$(BUF) generate

check: lint breaking fresh vet ## everything that needs no test to run

lint: $(DEPS)/.stamp
	$(BUF) lint && $(BUF) format -d --exit-code proto
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"

# The contract at BASE is the one that must not break. A BASE that does not exist, or has no contract yet, is said.
breaking: $(DEPS)/.stamp
	@if git cat-file -e $(BASE):proto/gateway 2>/dev/null; then \
		rm -rf .build/base && mkdir -p .build/base/.build && \
		git archive $(BASE) buf.yaml proto | tar -x -C .build/base && \
		cp -r $(DEPS) .build/base/.build/ && \
		$(BUF) breaking --against .build/base && echo "breaking: nothing against $(BASE)"; \
	else echo "breaking: no contract at $(BASE), nothing to compare with"; fi

# Generated code must be what the protos say.
fresh: $(DEPS)/.stamp
	rm -rf .build/gen && cp -r gen .build/gen && $(BUF) generate && diff -r gen .build/gen && echo "fresh: gen/ is up to date"

vet:
	$(GO) vet ./...
