# The same targets for people and CI. See docs/testing.md.

PREFIX  ?= /usr
DESTDIR ?=
RUN     ?= .
# Go where its own tarball puts it, when it is not on the PATH.
GO      ?= $(shell command -v go || echo /usr/local/go/bin/go)

PROGRAMS = berthd berth-keeper berthctl
VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BUILD    = $(GO) build -trimpath
BOX      = $(CURDIR)/build/box
# Packages whose tests run in a box, and those whose tests do not.
BOXED    ?= ./scope ./tests/integration
UNBOXED   = $(shell $(GO) list ./... | grep -v /tests/integration)
# What a package has for both is named TestIntegration where it needs a box.
UNIT_TEST = $(GO) test -run '$(RUN)' -skip '^TestIntegration' $(TESTFLAGS) $(UNBOXED)
# go test compiles, the box runs: the binary has to lie where the box can see it, which /tmp is not.
BOX_TEST  = GOTMPDIR=$(CURDIR)/build/.tmp $(GO) test -count=1 -run '$(RUN)' $(TESTFLAGS)
# $(call box_test,ROOT) runs them beside the systemd of a tree, with another tree of real programs as a payload.
define box_test
	@root=$(1) && payload=$$(bash tests/box/tree.sh bookworm redis-server nginx-light) && \
	 $(BOX_TEST) -exec "$(BOX) -root $$root -bind $$payload:/srv/payload -- env BERTH_PAYLOAD_TREE=/srv/payload" $(BOXED)
endef

export CGO_ENABLED = 0

# The order of "test" is meant, and two cores are few.
.NOTPARALLEL:
.PHONY: all build test test-unit test-race test-box test-next demo box bench lint install clean setup tools

all: build

build:
	$(BUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ $(PROGRAMS:%=./cmd/%)

tools:
	@mkdir -p build/.tmp
	@$(BUILD) -o $(BOX) ./tests/box

setup:
	@bash packaging/setup.sh test

test: setup build lint test-unit test-race test-box test-next

lint:
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l $$(git ls-files '*.go')); \
	 test -z "$$unformatted" || { echo "gofmt: run gofmt -w on:" $$unformatted >&2; exit 1; }
	$(GO) vet ./...

test-unit:
	$(UNIT_TEST)

test-race:
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(UNIT_TEST) -race

test-box: build tools
	$(call box_test,/)

test-next: build tools
	$(call box_test,$$(bash tests/box/tree.sh trixie))

demo: tools
	@bash packaging/setup.sh demo
	@$(MAKE) --no-print-directory build
	@$(BOX) -- bash tests/demo/demo.sh

box: build tools
	@$(BOX)

bench: tools
	@bash packaging/setup.sh bench
	@$(MAKE) --no-print-directory build
	@$(BUILD) -o build/bench ./tests/bench
	@$(BOX) -- build/bench $(BENCHFLAGS)

# place installs files, if there are any: $(call place,MODE,DIRECTORY,FILES)
define place
	$(if $(strip $(3)),install -D -m $(1) -t '$(DESTDIR)$(PREFIX)/$(2)' $(3))
endef

# Installing does not build: it may be another user, or a box, that does it.
$(PROGRAMS:%=bin/%):
	@echo "install: $@ is missing, run make build first" >&2; exit 1

install: $(PROGRAMS:%=bin/%)
	$(call place,755,bin,$(PROGRAMS:%=bin/%))
	$(call place,644,lib/systemd/system,$(wildcard packaging/systemd/*.service packaging/systemd/*.socket))
	$(call place,644,lib/systemd/catalog,$(wildcard packaging/catalog/*.catalog))
	$(call place,644,lib/tmpfiles.d,$(wildcard packaging/tmpfiles/*.conf))
	$(call place,644,lib/sysusers.d,$(wildcard packaging/sysusers/*.conf))
	$(call place,644,share/dbus-1/system.d,$(wildcard packaging/dbus/*.conf))
	$(call place,644,share/dbus-1/system-services,$(wildcard packaging/dbus/*.service))
	$(call place,644,share/polkit-1/actions,$(wildcard packaging/polkit/*.policy))
	$(call place,644,share/man/man1,$(wildcard packaging/man/*.1))
	$(call place,644,share/man/man8,$(wildcard packaging/man/*.8))
	$(call place,644,share/bash-completion/completions,$(wildcard packaging/completions/berthctl))
	$(call place,644,share/zsh/vendor-completions,$(wildcard packaging/completions/_*))
	$(call place,644,share/fish/vendor_completions.d,$(wildcard packaging/completions/*.fish))
# On the running system itself: a package does this in its own way.
	$(if $(DESTDIR),,@if [ -d /run/systemd/system ]; then systemctl daemon-reload && journalctl --update-catalog; fi)

clean:
	rm -rf bin build
