# What CI calls, and what a person calls before a commit. Each target stands alone. CONTRIBUTING.md says when to use which.
GO      ?= go
FUZZ    ?= 1000x
RUN     ?= .
PKGS    := ./...
LEVELS  := e2e interop browser cluster kill zip

.PHONY: all build release check test race lint fuzz bench demo $(LEVELS)

all: lint test

build:            ## both binaries into dist/
	$(GO) build -o dist/stagelog ./cmd/stagelog
	CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath -ldflags='-s -w' -o dist/bootstrap ./cmd/enricher

release:          ## dist/stagelog with the enrichment function's zips embedded
	for arch in arm64 x86_64; do \
	  $(GO) run ./cmd/stagelog export zip --arch $$arch --out internal/provision/bundle/enricher-$$arch.zip || exit 1; \
	done
	$(GO) build -tags release -trimpath -o dist/stagelog ./cmd/stagelog

check:            ## before a commit: format, vet, staticcheck, and the tests of the packages that changed since the last one
	@test -z "$$(gofmt -l .)" || { echo 'not formatted:'; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	@changed=$$(.ci/changed); if [ -n "$$changed" ]; then set -x; $(GO) tool staticcheck $$changed && $(GO) test -timeout 20m $$changed; fi

test:             ## the command of the README, with a time limit that a busy machine keeps
	$(GO) test -timeout 20m $(PKGS)

race:             ## the same under the race detector; e2e runs a binary that is built without it
	$(GO) test -race -timeout 30m $$($(GO) list $(PKGS) | grep -v '/e2e$$')

# The slow tests, by level: internal/testenv describes each. RUN selects some by name.
$(LEVELS):
	@tests=$$(.ci/level $@ '$(RUN)') && set -x && STAGELOG_TEST=$@ $(GO) test -race -count=1 -v -timeout 40m -run "$$tests" \
	  $$(grep -rli --include='*_test.go' 'testenv\.$@)' . | xargs -n1 dirname | sort -u)

# empty runs a tool that must print nothing but lines that match the second argument.
empty = out=$$($(GO) tool $(1)) || exit 1; \
	if [ -n '$(2)' ]; then out=$$(printf '%s' "$$out" | grep -vE '$(2)'); fi; \
	test -z "$$out" || { echo '$(1):'; echo "$$out"; exit 1; }

# TESTS_ONLY are the functions that tests alone may call: test helpers, which are packages because several packages'
# tests share them; the inverses of record's frame and id, with which tests read what the product writes; and the format
# of the web page that this project replaces, accesslog.Seed.
TESTS_ONLY := ^internal/(lake/laketest|localaws/wire/wiretest|provision/moto|record/recordtest|delivery/ingest/ingesttest|testenv)/|: (ParseFrame|ParseID|parseDigits|Seed)$$

lint:             ## format, vet, staticcheck, unused and complex code, and builds that nothing else covers
	@test -z "$$(gofmt -l .)" || { echo 'not formatted:'; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) tool staticcheck $(PKGS)
	$(GO) tool unparam $(PKGS)
	@$(call empty,deadcode -test -tags faults $(PKGS))
	@$(call empty,deadcode $(PKGS),$(TESTS_ONLY))
	$(GO) tool gocyclo -over 20 -ignore '_test\.go' cmd internal
	$(GO) vet -tags faults ./internal/durable/failpoint
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/stagelog
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -tags lambda.norpc -o /dev/null ./cmd/enricher

fuzz:             ## every fuzz target, FUZZ runs (1000x) or time (30s) each
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r pkg; do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) $$pkg </dev/null || exit 1; \
	  done; \
	done

bench:            ## every benchmark, a few rounds: that they run, not how fast
	$(GO) test -run '^$$' -bench . -benchtime 3x $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)

demo:
	$(GO) run ./cmd/stagelog demo --for 20s
