# Nothing but git, make, gcc and Go is needed. Third-party protos are rendered from the linked Go modules.
GO       ?= go
BUF      := $(GO) tool buf
DEPS     := .build/protodeps
# The contract at BASE is the one that must not break.
BASE     ?= main
# How long each fuzz target is tried.
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help all build run demo test race model bench contract chaos streams fuzz check lint breaking fresh vet licences manifests rules vuln release generate module clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

all: check test build ## check, test and build

build: ## the one binary, static: bin/klarna-gateway
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/klarna-gateway ./cmd/klarna-gateway

run: build ## gateway and simulated Klarna together on loopback, with calls to paste
	bin/klarna-gateway dev

demo: build ## the journeys of a payment and a partner, told as a timeline
	bin/klarna-gateway demo

test: ## every test, with the race detector
	$(GO) test -race -timeout 30m ./...

race: ## every test with the race detector, three times over, nothing from the cache
	$(GO) test -race -count=3 ./...

# BENCH=webhook,capture runs rows by name; BENCH_FLAGS=-full takes the largest logs, -quick is a smoke.
bench: build ## the gateway against what it could be instead: docs/performance.md, within ten minutes
	@mkdir -p .build && $(GO) build -trimpath -o .build/bench-program ./bench
	.build/bench-program -only '$(BENCH)' -write docs $(BENCH_FLAGS)

INTERLEAVINGS ?= 10000
model: ## INTERLEAVINGS random ones of callers, Klarna, worker, clock, faults and crashes; FIRST is the first seed
	$(GO) test -count=1 -timeout 0 ./operation/modeltest -run Model -v -interleavings $(INTERLEAVINGS) -first $(or $(FIRST),1)

# The table needs the tests of the whole server; without Klarna's documents there is none.
contract: ## every operation of Klarna's: which client method and RPC reach it, and whether what passes is as described
	$(GO) test -count=1 ./klarna/klarnatest/... ./operation
	@mkdir -p .build && rm -f .build/contract.md
	@$(GO) test -count=1 ./server -args -contract=$(CURDIR)/.build/contract.md; code=$$?; cat .build/contract.md && exit $$code

# Columns of the table that the two tests add their rows to.
CHAOS_COLUMNS := | Over | What happened under load | Webhooks sent, not answered, on record though the answer was lost | Sales with all their answers | Calls, failed, effects at Klarna | Events taken, in watches | Missing, twice, out of order, done twice | Took |
chaos: ## 200 kills over SQLite and 50 troubles over PostgreSQL, under load: what was lost, doubled or out of order; minutes
	@mkdir -p .build && printf '%s\n|---|---|---|---|---|---|---|---|\n' '$(CHAOS_COLUMNS)' > .build/chaos.md
	@CI=true $(GO) test -count=1 -timeout=20m -run='^(TestKill_WebhooksThatWereAnswered|TestReplicas_LoseNothing)' ./cmd/klarna-gateway \
		-args -kill-cycles=200 -replica-cycles=50 -leases -figures=$(CURDIR)/.build/chaos.md; code=$$?; cat .build/chaos.md; exit $$code

STREAMS ?= 10000
streams: ## STREAMS watches on one process, idle and under load: whether each gets its own, and the memory they take
	@mkdir -p .build
	@$(GO) test -count=1 -timeout=10m -run='^TestStreams' ./cmd/klarna-gateway -args -streams=$(STREAMS) -streams-figures=$(CURDIR)/.build/streams.md && \
		cat .build/streams.md

# go test fuzzes one target at a time.
fuzz: ## every fuzz target for FUZZTIME
	@grep -roE '^func Fuzz\w+' --include='*_test.go' . | sed 's/:func / /' | while read -r file target; do \
		echo "fuzz: $$target"; \
		$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

check: lint breaking fresh vet licences manifests rules ## everything that needs no test to run

lint: $(DEPS)/.stamp ## style of the protos and of the Go code
	$(BUF) lint
	$(BUF) format -d --exit-code proto
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt: $$unformatted"; exit 1; }

# A BASE that does not exist, or has no contract yet, is said.
breaking: $(DEPS)/.stamp ## nothing in the contract breaks callers of BASE
	@if git cat-file -e '$(BASE):proto/gateway' 2>/dev/null; then \
		rm -rf .build/base && mkdir -p .build/base/.build && \
		git archive '$(BASE)' buf.yaml proto | tar -x -C .build/base && \
		cp -r $(DEPS) .build/base/.build/ && \
		$(BUF) breaking --against .build/base && echo "breaking: nothing against $(BASE)"; \
	else echo "breaking: no contract at $(BASE), nothing to compare with"; fi

fresh: $(DEPS)/.stamp ## gen/ is what the protos say
	@rm -rf .build/fresh && $(BUF) generate -o .build/fresh && diff -r gen .build/fresh/gen && echo "fresh: gen/ is up to date"

vet: ## go vet and staticcheck
	$(GO) vet ./...
	@$(call tool,staticcheck,honnef.co/go/tools/cmd/staticcheck) && .build/tools/staticcheck ./...

# Tools for checks and releases have a module of their own, .ci/tools, so that the product's stays its own.
tool = cd .ci/tools && $(GO) build -o ../../.build/tools/$(1) $(2) && cd ../..
sbom = $(call tool,cyclonedx-gomod,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod) && \
	.build/tools/cyclonedx-gomod app -licenses -json -output $(1) -main cmd/klarna-gateway .

licences: ## every module in the binary is permissively licensed (reads the history: not in a second work tree of git)
	@mkdir -p .build && $(call sbom,.build/sbom.json)
	@$(GO) -C .ci/tools run ./licences < .build/sbom.json

manifests: ## the Dockerfile, Kubernetes manifests and systemd unit under deploy/, as far as that goes without running them
	@$(GO) -C .ci/tools run ./dockerfile ../../deploy/Dockerfile
	@$(call tool,kustomize,sigs.k8s.io/kustomize/kustomize/v5)
	@$(call tool,manifests,./manifests)
	@for flavour in sqlite postgres; do \
		.build/tools/kustomize build deploy/kubernetes/$$flavour | .build/tools/manifests || exit 1; \
		mkdir -p .build/monitored/$$flavour && printf 'resources: [../../../deploy/kubernetes/%s]\ncomponents: [../../../deploy/kubernetes/pod-monitor]\n' $$flavour \
			> .build/monitored/$$flavour/kustomization.yaml; \
		.build/tools/kustomize build .build/monitored/$$flavour | .build/tools/manifests || exit 1; \
	done
	@if command -v systemd-analyze >/dev/null; then \
		sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#' deploy/systemd/klarna-gateway.service > .build/klarna-gateway.service && \
		out=$$(systemd-analyze verify .build/klarna-gateway.service 2>&1); \
		test -z "$$out" || { echo "$$out"; exit 1; }; echo "systemd: the unit is sound"; \
	else echo "systemd: no systemd-analyze here, the unit was not checked"; fi

# Prometheus' own tool, where it is installed; Debian has it in the package prometheus, which .ci/run unpacks for it.
PROMTOOL ?= $(or $(shell command -v promtool),$(wildcard .build/prometheus/usr/bin/promtool))
rules: ## the alert rules by Prometheus' own tool: as they are, and tried over made-up series
	@if test -n "$(PROMTOOL)"; then \
		"$(PROMTOOL)" check rules deploy/observability/alerts.yaml && "$(PROMTOOL)" test rules deploy/observability/alerts.test.yaml; \
	else echo "rules: no promtool here, the alert rules were not tried"; fi

vuln: ## known vulnerabilities in what the binary calls; needs the vulnerability database
	@$(call tool,govulncheck,golang.org/x/vuln/cmd/govulncheck)
	@out=$$(.build/tools/govulncheck ./... 2>&1); code=$$?; echo "$$out"; \
	if [ $$code -eq 0 ] || [ $$code -eq 3 ]; then exit $$code; fi; \
	echo "vuln: NOTHING WAS CHECKED: govulncheck could not do its work, most likely because its database cannot be reached from here."; \
	echo "vuln: run it where the internet is, or set GOVULNDB to a copy of the database."; exit 2

# What a release calls itself: the tag at the commit, or how far the commit is from one.
RELEASE   ?= $(shell git describe --tags --always --match 'v[0-9]*' 2>/dev/null)
PLATFORMS ?= linux/amd64 linux/arm64 darwin/arm64
release: ## dist/: a static binary per platform, their checksums, and a bill of materials (CycloneDX)
	@test -z "$$(git status --porcelain)" || { echo "release: there are changes that are not committed"; exit 1; }
	@rm -rf dist && mkdir -p dist .build
	@for platform in $(PLATFORMS); do \
		out=dist/klarna-gateway-$${platform%/*}-$${platform#*/}; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build -trimpath -ldflags='-s -w -X main.release=$(RELEASE)' -o $$out ./cmd/klarna-gateway || exit 1; \
	done
	@$(call sbom,dist/klarna-gateway.cdx.json)
	@cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

generate: $(DEPS)/.stamp ## Go messages, gRPC, REST gateway and OpenAPI under gen/
	$(BUF) generate

$(DEPS)/.stamp: go.mod proto/internal/protodeps/main.go
	rm -rf $(DEPS) && $(GO) run ./proto/internal/protodeps $(DEPS) && touch $@

# The module path is a name under .internal, which nobody else can publish. This moves the project to another one.
module: ## another module path: make module NAME=example.internal/klarna-gateway
	@test -n "$(NAME)" || { echo "NAME is missing"; exit 1; }
	old=$$($(GO) list -m) && git grep -lF "$$old" -- . ':!go.sum' | xargs sed -i "s#$$old#$(NAME)#g"
	$(MAKE) generate && gofmt -w $$(git ls-files '*.go') && $(GO) vet ./...

clean: ## what the other targets made
	rm -rf .build bin dist
