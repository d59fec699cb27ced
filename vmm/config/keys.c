/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.c - the keys of a VM itself, named as in bhyve_config(5) where it has them.
 */
#include <vmmapi.h>

#include "config.h"

#define	MIB	(1024LL * 1024)
#define	TIB	(1024LL * 1024 * MIB)

static const char *const archs[] = { "amd64", "arm64", NULL };
static const char *const accels[] = { "auto", "kvm", "soft", NULL };
static const char *const clocks[] = { "host", "icount", NULL };
static const char *const log_formats[] = { "text", "json", NULL };
static const char *const jits[] = { "auto", "off", "on", NULL };

static const char *const pages[] = { "auto", "2M", "1G", NULL };

static const struct config_key global[] = {
	KEY_STRING("name", NULL, "name of the VM; without one it is gone with its process"),
	KEY_UUID("uuid", NULL, "the VM's identity in firmware tables"),
	KEY_ENUM("arch", "amd64", archs, "architecture of the guest"),
	KEY_ENUM("accel", "auto", accels, "what executes the guest"),
	KEY_ENUM("clock", "host", clocks, "what the VM's clock counts: host time or retired instructions"),
	KEY_INT("seed", 0, 0, INT64_MAX, "with clock=icount: picks the order in which vCPUs take turns"),
	KEY_ENUM("jit", "auto", jits, "with soft: native code of the host for what the guest executes often; auto: where the host can, unless HYVE_JIT says otherwise"),
	KEY_INT("jit_hot", 0, 0, 65535, "entries of a stretch of code before it becomes native code; 0: as soft finds best"),
	KEY_INT("jit_check", 0, 0, 1000000, "execute every so many instructions by native code and without it, and stop if the results differ; with one vCPU and clock=icount"),
	KEY_BOOL("jit_map", false, "list native code by the guest's addresses in /tmp/perf-PID.map, for perf report"),
	KEY_MEMSIZE("jit_size", 0, 0, 1024 * MIB, "native code of a vCPU, all of which goes when it is full; 0: as soft finds best"),
	KEY_INT("halt_poll_ns", -1, -1, 1000000000, "with kvm: nanoseconds that the kernel looks for work before a vCPU that waits sleeps; 0: none, for a busy host; -1: as the host has it"),
	KEY_INT("power_off_wait", 60, 1, 86400, "seconds from a signal, which presses the power button, until the VM ends in any case"),
	KEY_BOOL("reboot", true, "start the guest anew when it resets; off: the VM ends with code 0"),
	KEY_BOOL("default_nic", true, "a NIC with user-mode networking where no slot has one"),
	KEY_PATH("control", NULL, "UNIX socket for clients that speak QMP; hyve-qmp(7) has the commands"),
	KEY_STRING("log.level", "info", "what the log has: error, warn, info or debug, and PATTERN=LEVEL for the parts that match, such as info,pci.*=debug"),
	KEY_ENUM("log.format", "text", log_formats, "its lines: text, or objects of JSON"),
	KEY_SIZE("log.size", MIB, MIB / 16, 1024 * MIB, "bytes of the log of a VM with a directory: a full one is put aside in place of the one before, and a new one begun"),
	KEY_STRING("trace", NULL, "trace points that are printed: patterns, such as block.*,virtio.notify"),
	KEY_BOOL("stats", false, "print the counters of each vCPU when the VM ends"),
	KEY_STRING("gdb.address", "localhost", "where the server for gdb listens with gdb.port: a name or an address of this host"),
	KEY_INT("gdb.port", 0, 0, 65535, "TCP port of a server for gdb; it asks nobody who he is, and who connects owns the VM; 0: none"),
	KEY_PATH("gdb.path", NULL, "UNIX socket of a server for gdb, for its owner alone"),
	KEY_BOOL("gdb.wait", false, "with gdb.port or gdb.path: the guest starts when gdb lets it go on"),
	KEY_INT("cpus", 1, 1, VM_MAXCPU, "number of vCPUs; sockets * cores * threads must be as many"),
	KEY_INT("sockets", 1, 1, VM_MAXCPU, "sockets that the guest is told of"),
	KEY_INT("cores", 1, 1, VM_MAXCPU, "cores per socket"),
	KEY_INT("threads", 1, 1, VM_MAXCPU, "threads per core"),
	KEY_STRING("cpu.model", NULL, "processor that the guest sees: v1, v2, baseline, baseline-v1 or host for amd64, v8, v8.0-base or baseline for arm64"),
	KEY_MEMSIZE("memory.size", 256 * MIB, MIB, 16 * TIB, "RAM of the guest"),
	KEY_BOOL("memory.wired", false, "lock guest memory in host RAM"),
	KEY_BOOL("memory.prealloc", false, "have all guest memory from the host before the guest starts, so that it cannot be missing later"),
	KEY_ENUM("memory.pages", "auto", pages, "the host's pages for guest memory: 2M or 1G of those put aside by the host's administrator; auto: any, large ones where they are free"),
	KEY_BOOL("memory.guest_in_core", false, "keep guest memory in core dumps"),
};

const struct config_keys config_global_keys = {
	.key = global,
	.nkeys = sizeof(global) / sizeof(global[0]),
};

static const struct config_key vcpu[] = {
	KEY_CPUSET("cpuset", NULL, "processors of the host on which the vCPU may run; unset: all that the process may use"),
};

const struct config_keys config_vcpu_keys = {
	.key = vcpu,
	.nkeys = sizeof(vcpu) / sizeof(vcpu[0]),
};
