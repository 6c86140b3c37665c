# What CI calls, and what a person calls before a commit. Each target stands alone.
GO      ?= go
FUZZ    ?= 1000x
E2E     ?= .
PKGS    := ./...

.PHONY: all build release test race lint fuzz bench e2e demo

all: lint race

build:            ## both binaries into dist/
	$(GO) build -o dist/stagelog ./cmd/stagelog
	CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath -ldflags='-s -w' -o dist/bootstrap ./cmd/enricher

release:          ## dist/stagelog with the enrichment function's zips embedded
	for arch in arm64 x86_64; do \
	  $(GO) run ./cmd/stagelog export zip --arch $$arch --out internal/provision/bundle/enricher-$$arch.zip || exit 1; \
	done
	$(GO) build -tags release -trimpath -o dist/stagelog ./cmd/stagelog

test:             ## the command of the README
	$(GO) test $(PKGS)

race:             ## the same under the race detector
	$(GO) test -race -timeout 20m $(PKGS)

lint:             ## format, vet, staticcheck, and builds that nothing else covers
	@test -z "$$(gofmt -l .)" || { echo 'not formatted:'; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	$(GO) tool staticcheck $(PKGS)
	CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/stagelog
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -tags lambda.norpc -o /dev/null ./cmd/enricher

fuzz:             ## every fuzz target, FUZZ runs (1000x) or time (30s) each
	@for pkg in $$($(GO) list $(PKGS)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) $$pkg || exit 1; \
	  done; \
	done

bench:            ## every benchmark, a few rounds: that they run, not how fast
	$(GO) test -run '^$$' -bench . -benchtime 3x $(PKGS)

e2e:              ## the real binary, with the AWS CLI and boto3 as clients where the machine has them; E2E names tests
	$(GO) test -count=1 -v -timeout 40m -run '$(E2E)' ./e2e/...

demo:
	$(GO) run ./cmd/stagelog demo --for 20s
