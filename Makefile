# Two commands do everything on a fresh Debian machine with Go, Node and make:
#
#   make run     builds and starts the demo, and says what to open
#   make test    runs every test, browsers included

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

dist := web/dist
npm := npm --prefix web --no-fund --no-audit --loglevel=error

# The environment of the tests in Node must be small: the runtime refuses one
# of more than 8 KB.
in_node = env -i HOME="$$HOME" PATH="$$PATH" $$(go env GOROOT)/lib/wasm/go_js_wasm_exec

.PHONY: all run build wasm web programs test vet test-go test-wasm test-js test-browser bench bench-proxy bench-browser soak fuzz screenshot fmt clean

all: build

run: build
	@exec bin/webmsrp serve --dev

build: web
	go build -trimpath -ldflags='-s -w' -o bin/webmsrp ./proxy

# Of 760 KB allowed after brotli, inlining would take 57, Go's cryptography, in
# place of JavaScript's, 35, and the garbage collector that is new in Go 1.26, 12
# for no speed. Go 1.27 may not know the older one.
wasm_flags := -tags hostcrypto -trimpath -gcflags=all=-l -ldflags='-s -w'
older_gc = $(shell GOEXPERIMENT=nogreenteagc go env GOEXPERIMENT 2>/dev/null)
wasm:
	GOEXPERIMENT=$(older_gc) GOOS=js GOARCH=wasm go build $(wasm_flags) -o $(dist)/msrp.wasm ./wasm

web: wasm web/node_modules
	@$(npm) run --silent build

web/node_modules: web/package.json web/package-lock.json
	$(npm) ci
	@touch $@

test: programs vet test-go test-wasm test-js test-browser

vet:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	GOOS=js GOARCH=wasm go vet ./wasm ./msrp/...
	GOOS=js GOARCH=wasm go vet -tags hostcrypto ./wasm ./msrp/file

# Ends with what the RFCs require and which test proves it.
test-go:
	go test -tags hostcrypto ./msrp/file
	go test -race -json ./... | go run ./msrp/msrptest/requirements

test-wasm:
	GOOS=js GOARCH=wasm go test -exec="$(in_node)" ./msrp/... ./wasm

test-js: build
	$(npm) run --silent check
	$(npm) run --silent test

# What the tests drive: Chromium, Firefox, WebKitGTK and Kamailio.
programs:
	@web/test/install

test-browser: build programs
	$(npm) run --silent test:browser
	@[ -x /usr/sbin/kamailio ] || echo "NOT TESTED: a foreign relay, for want of Kamailio." >&2
	@[ -x "$${WEBKIT_DRIVER:-/usr/bin/WebKitWebDriver}" ] && [ -x /usr/bin/Xvfb ] || echo "NOT TESTED: WebKit, for want of webkit2gtk-driver and xvfb." >&2

# The core natively, beside net/textproto, and in Chromium, compiled as it is for
# the page.
bench: web/node_modules programs
	go test -c -o bin/native.test ./msrp
	GOOS=js GOARCH=wasm go test -c $(wasm_flags) -o bin/wasm.test ./msrp
	@node web/test/e2e/bench.mjs bin/native.test bin/wasm.test $$(go env GOROOT)/lib/wasm/wasm_exec.js

# The client in Chromium and Firefox, beside what crocodile-msrp does and a
# WebSocket without any protocol.
bench-browser: build programs
	go build -o bin/farend ./web/test/farend
	@node web/test/e2e/bench-browser.mjs

# The relay beside haproxy and Kamailio, where they are installed; as root in a
# network of its own.
bench-proxy:
	go build -trimpath -ldflags='-s -w' -o bin/webmsrp ./proxy
	go build -o bin/bench ./proxy/bench
	@bin/bench -relay bin/webmsrp

# The long proofs, of which make test runs a small part: the core's, 300 times
# that something is killed, 1 GiB between two pages as a message and as a file that
# is cut off 20 times, soaksize MiB as a stream, and an hour of two relays under a
# mixed load, or make soak soaktime=10m.
soaktime := 1h
soaksize := 10240
soak: build
	SOAK=1 go test -run='Memory|Cuts|Many' -v -timeout 30m ./msrp/...
	SOAK=1 go test -run=Faults -v -timeout 30m ./proxy/serve
	SOAK=1 node --test web/test/e2e/flow.test.mjs
	SOAK=1 SOAK_SIZE=$(soaksize) node --test --test-reporter=spec --test-name-pattern='Chromium' web/test/e2e/files.test.mjs
	SOAK_TIME=$(soaktime) go test -run='^TestSoak$$' -count=1 -v -timeout 0 ./proxy

# Every fuzz target for a while; what is found stays as a test.
fuzztime := 10m
fuzz:
	@for package in $$(go list ./msrp/...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(fuzztime) $$package; \
		done; \
	done

# The picture in the README.
screenshot: build
	node web/test/e2e/screenshot.mjs

fmt:
	gofmt -w .

clean:
	find $(dist) -mindepth 1 ! -name placeholder -delete
	rm -rf bin web/node_modules web/wasm_exec.js web/LICENSE
