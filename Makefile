# SPDX-License-Identifier: BSD-2-Clause
# A thin layer over meson and scripts/; everything made is under build/.  NO_BOOTSTRAP=1 installs no packages.

all: build/gcc/build.ninja
	@ninja -C build/gcc

build/gcc/build.ninja:
	@scripts/bootstrap
	@CC=gcc meson setup build/gcc

demo:			# build, and run the demonstration payloads on what this host has; ARCH=arm64: and Debian's guest for that
	@scripts/bootstrap
	@scripts/demo

test:			# what CI runs
	@scripts/bootstrap
	@scripts/run-tests

accept:			# the full list of what must hold; log in build/test.log
	@scripts/bootstrap --dev
	@scripts/run-tests --accept

kvm-lab:		# the tests of the kvm back end over real KVM, in a guest of QEMU: no hardware virtualization is needed
	@scripts/bootstrap --dev
	@scripts/run-tests kvm-lab

fuzz:			# every fuzz target for FUZZ seconds
	@scripts/bootstrap
	@scripts/run-tests --fuzz $${FUZZ:-60} fuzz

bench:			# costs of the parts, as measured here
	@scripts/bootstrap
	@bench/run

tidy: all		# clang-tidy
	@scripts/bootstrap --dev
	@scripts/tidy build/gcc

format:			# clang-format on the lines that differ from the last commit
	@scripts/bootstrap --dev
	@git clang-format --extensions c,h

install: all		# PREFIX at the first make: meson configure build/gcc -Dprefix=...
	@meson install -C build/gcc

clean:
	rm -rf build

.PHONY: all demo test accept kvm-lab fuzz bench tidy format install clean
