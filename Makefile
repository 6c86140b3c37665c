# Targets for CI and for use before a commit. CONTRIBUTING.md says when to use each; they do not depend on each other.
GO      ?= go
FUZZ    ?= 1000x
RUN     ?= .
PKGS    := ./...
LEVELS  := e2e interop browser cluster kill zip

.PHONY: all build release check test race lint vuln fuzz bench demo $(LEVELS)

all: lint test

build:            ## both binaries into dist/
	$(GO) build -o dist/stagelog ./cmd/stagelog
	CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath -ldflags='-s -w' -o dist/bootstrap ./cmd/enricher

release:          ## dist/stagelog with the enrichment function's zips embedded
	for arch in arm64 x86_64; do \
	  $(GO) run ./cmd/stagelog export zip --arch $$arch --out internal/provision/bundle/enricher-$$arch.zip || exit 1; \
	done
	$(GO) build -tags release -trimpath -o dist/stagelog ./cmd/stagelog

check:            ## before a commit: formatting, vet, staticcheck, and tests of the packages that changed since the last commit
	@test -z "$$(gofmt -l .)" || { echo 'not formatted:'; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	@changed=$$(.ci/changed); if [ -n "$$changed" ]; then set -x; $(GO) tool staticcheck $$changed && $(GO) test -timeout 20m $$changed; fi

test:             ## all tests, as in the README, with a time limit that is long enough for a busy machine
	$(GO) test -timeout 20m $(PKGS)

race:             ## the same with the race detector, without e2e, which runs a binary built without the detector
	$(GO) test -race -timeout 30m $$($(GO) list $(PKGS) | grep -v '/e2e$$')

# The slow tests, by level; internal/testenv describes each level. RUN selects tests by name.
$(LEVELS):
	@begin=$$(date +%s); tests=$$(.ci/level $@ '$(RUN)') && \
	  STAGELOG_TEST=$@ $(GO) test -race -count=1 -v -timeout 40m -run "$$tests" \
	    $$(grep -rli --include='*_test.go' 'testenv\.$@)' . | xargs -n1 dirname | sort -u) && \
	  echo "-- $@: $$(($$(date +%s) - begin))s"

# empty runs a tool that must print nothing but lines that match the second argument.
empty = out=$$($(GO) tool $(1)) || exit 1; \
	if [ -n '$(2)' ]; then out=$$(printf '%s' "$$out" | grep -vE '$(2)'); fi; \
	test -z "$$out" || { echo '$(1):'; echo "$$out"; exit 1; }

# TESTS_ONLY matches functions that only tests call: the test helpers that several packages share; ParseFrame, ParseID
# and parseDigits, with which tests read what the product writes; and accesslog.Seed, a sample format with curly quotes.
TESTS_ONLY := ^internal/(lake/laketest|localaws/wire/wiretest|provision/moto|record/recordtest|delivery/ingest/ingesttest|testenv)/|: (ParseFrame|ParseID|parseDigits|Seed)$$

lint:             ## formatting, vet, staticcheck, unused and complex code, and builds that no other target covers
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

vuln:             ## known vulnerabilities in what the programs call; SKIPPED if the database cannot be reached
	@out=$$($(GO) tool govulncheck ./cmd/... 2>&1) && echo "$$out" || case "$$out" in \
	  *'fetching vulnerabilities: '*) echo "SKIPPED: $$out" ;; \
	  *) echo "$$out"; exit 1 ;; \
	esac

fuzz:             ## every fuzz target, FUZZ runs (1000x) or time (30s) each
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  $(GO) test -c -fuzz . -o $$dir/test $$pkg || exit 1; \
	  for target in $$(cd $$pkg && $$dir/test -test.list '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    (cd $$pkg && $$dir/test -test.run '^$$' -test.fuzz "^$$target$$" -test.fuzztime $(FUZZ) -test.fuzzcachedir $$dir/cache) || exit 1; \
	  done; \
	done

bench:            ## a few rounds of every benchmark, to check that it runs
	$(GO) test -run '^$$' -bench . -benchtime 3x $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)

demo:
	$(GO) run ./cmd/stagelog demo --for 20s
