# Targets for users and developers; `make help` lists them. All build with one set of flags, so that
# compiled packages are shared with the control plane's build.
SHELL := /bin/bash
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

BIN := bin
# Sets KUBEBUILDER_ASSETS for the command that follows, or fails.
WITH_ASSETS = assets="$$(hack/controlplane.sh)" && KUBEBUILDER_ASSETS="$$assets"
# Sets HEROKU_CLIENTS in the same way.
WITH_CLIENTS = clients="$$(hack/herokuclients.sh)" && HEROKU_CLIENTS="$$clients"
TOOL = go tool -modfile=hack/tools/go.mod
LINT = go tool -modfile=hack/lint/go.mod golangci-lint
ARGS ?=
# The state of what make generate writes.
GENERATED = cat api/v1/zz_generated.deepcopy.go config/crd/bases/* config/rbac/permissions/role.yaml docs/reference.md | sha256sum
# Property tests check 100 cases each, 20,000 in CI.
RAPID_CHECKS ?= $(if $(CI),20000,100)
# Specs mostly wait, so more of them run side by side than there are cores.
E2E_PROCS ?= 6

.DEFAULT_GOAL := help

##@ Use

.PHONY: demo
demo: build prerequisites ## Show it working: control plane, Redis, simulated Heroku, operator. ARGS=--once for one cycle.
	@go build -o $(BIN)/demo ./hack/demo
	@$(WITH_ASSETS) exec $(BIN)/demo $(ARGS)

.PHONY: run
run: build ## Run the operator against the cluster of KUBECONFIG.
	$(BIN)/queuescaler --leader-elect=false $(ARGS)

.PHONY: install
install: ## Install the CRD into the cluster of KUBECONFIG.
	kubectl apply -k config/crd

.PHONY: deploy
deploy: install ## Install the operator into the cluster of KUBECONFIG.
	kubectl apply -k config/default

.PHONY: uninstall
uninstall: ## Remove all QueueScalers, then the operator, then the CRD.
	hack/uninstall.sh

.PHONY: image
image: ## Build the OCI image dist/queuescaler.tar, without a Docker daemon.
	GOOS=linux go build -ldflags="-s -w" -o dist/queuescaler ./cmd/queuescaler
	env -u GOARCH go build -C hack/image -o ../../$(BIN)/image .
	$(BIN)/image -binary dist/queuescaler

##@ Develop

.PHONY: bench
bench: bench-operator bench-account bench-races ## Measure it: wakes, storms, idle cost, busy neighbours, API calls, interrupted jobs. Prints tables; takes an hour.

.PHONY: bench-operator
bench-operator: build prerequisites ## Measure wakes, storms, idle cost and busy neighbours. ARGS="-run wake -scale 0.1" for a part of it.
	@go build -o $(BIN)/bench ./hack/bench
	@$(WITH_ASSETS) $(BIN)/bench $(ARGS)

.PHONY: bench-account
bench-account: prerequisites ## Count the API calls of accounts with 100 to 1,000 apps, and the waits of a day, in simulated time.
	@$(WITH_ASSETS) MEASURE=1 go test ./controllers -run 'OfAnAccount' -v -count=1 | grep -E '^\||starts,'

RACES ?= -runs 1000 -lanes 100

.PHONY: bench-races
bench-races: prerequisites ## Count the jobs interrupted in 1,000 stops without and 1,000 with a drain, and in 100 with real Sidekiq.
	@$(WITH_ASSETS) go test ./test/races -run Races/None -v -count=1 -timeout=1h -args $(RACES)
	@$(WITH_ASSETS) go test ./test/races -run Races/Quiet -v -count=1 -timeout=1h -args $(RACES)
	@$(WITH_ASSETS) go test ./test/races -run Races/Quiet -v -count=1 -timeout=1h -args -sidekiq -runs 100 -lanes 10

.PHONY: build
build: ## Build the operator: bin/queuescaler.
	go build -ldflags="-s -w" -o $(BIN)/queuescaler ./cmd/queuescaler

.PHONY: test
test: test-unit test-envtest test-e2e ## Set up what tests need, and run all of them.

.PHONY: test-unit
test-unit: prerequisites ## Unit and property tests, with the race detector.
	CGO_ENABLED=1 go test -race ./internal/... ./test/redisserver/... ./test/worker/...
	go test ./internal/scaling -rapid.checks=$(RAPID_CHECKS)
	go test ./hack/... ./cmd/...
	$(WITH_CLIENTS) go test ./test/herokuclients/...
	go -C hack/image test ./...
	go -C test/jobclients/asynq vet ./...

.PHONY: test-envtest
test-envtest: prerequisites ## Tests of the API and the controller, against a real kube-apiserver.
	$(WITH_ASSETS) go test ./api/... ./controllers/... ./test/races/...

.PHONY: test-e2e
test-e2e: build prerequisites ## End-to-end tests: real control plane, Redis and job systems; a simulated Heroku.
	$(WITH_ASSETS) go tool ginkgo -p --procs=$(E2E_PROCS) --timeout=20m --no-color ./test/e2e

.PHONY: generate
generate: ## Generate deep copies, CRD, RBAC and the API reference.
	$(TOOL) controller-gen object crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=queuescaler paths=./controllers/... output:rbac:dir=config/rbac/permissions
	$(TOOL) crd-ref-docs --log-level=ERROR --source-path=api/v1 --config=hack/tools/crd-ref-docs.yaml --renderer=markdown --output-path=docs/reference.md

.PHONY: fmt
fmt: ## Format the code.
	gofmt -w api cmd controllers hack internal test

.PHONY: lint
lint: ## Run the linters.
	$(LINT) run ./...

.PHONY: verify
verify: ## Fail if generated files, formatting or go.mod are not up to date.
	@before="$$($(GENERATED))" && $(MAKE) --no-print-directory generate && test "$$before" = "$$($(GENERATED))" || \
		{ echo "verify: generated files were not up to date; they are now"; exit 1; }
	go mod tidy -diff
	go -C hack/image mod tidy -diff
	go -C test/jobclients/asynq mod tidy -diff
	@test -z "$$(gofmt -l api cmd controllers hack internal test)" || { gofmt -l api cmd controllers hack internal test; exit 1; }
	hack/verify-manifests.sh

.PHONY: prerequisites
prerequisites: ## Make sure of a real redis-server, Sidekiq and other job systems.
	@hack/prerequisites.sh
	@hack/jobclients.sh >/dev/null

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
