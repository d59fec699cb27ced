/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - trace points: what a VM does, one line an event, for those who ask for it by name.
 *
 * The table below is all there is of a point: its name, how its numbers are written, and a line of help, which 'hyve devices --traces' and the manual
 * print.  TRACE() costs a load and a branch where nobody asked.  Each is a probe of SystemTap's kind too (provider hyve, the same name with
 * "__" for the dot), where the host's <sys/sdt.h> was there at build time: perf, bpftrace and gdb find them in a VM that runs.
 */
#ifndef _HYVE_TRACE_H_
#define	_HYVE_TRACE_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef HAVE_SYS_SDT_H
#define	SDT_USE_VARIADIC
#include <sys/sdt.h>
#else
#define	STAP_PROBEV(provider, name, ...)	((void)0)
#endif

/* X(symbol, name, form of up to four numbers, help).  Who it is about (a device, a disk) is printed before the numbers. */
#define	TRACE_POINTS(X)												\
	X(vm__start, "vm.start", "%llu vCPUs, life %llu", "a machine is powered on; lives count from 1, one to each reset")	\
	X(vm__end, "vm.end", "code %llu", "its life is over; the exit code, 0: it resets")					\
	X(vm__stop, "vm.stop", "", "processors, devices and the clock stand")						\
	X(vm__go, "vm.go", "", "and go on")											\
	X(cpu__exit, "cpu.exit", "vCPU %llu, by the code at %#llx", "a vCPU's exit that no device serves, by its kind")	\
	X(device__read, "device.read", "vCPU %llu, offset %#llx, %llu bytes: %#llx", "an exit that a device serves: it is read, by a port or a memory access")	\
	X(device__write, "device.write", "vCPU %llu, offset %#llx, %llu bytes: %#llx", "and written")			\
	X(irq__line, "irq.line", "%llu", "a device drives its interrupt line; 1: asserted")					\
	X(irq__pulse, "irq.pulse", "", "a device's interrupt is an edge")							\
	X(irq__msi, "irq.msi", "vector %llu: %#llx to %#llx", "a device sends a message: vector, data, address; the driver may hold it back by its mask") \
	X(timer__fire, "timer.fire", "", "a device's time has come")								\
	X(device__reset, "device.reset", "", "a device is reset")							\
	X(device__pause, "device.pause", "", "a device is quiet from now on")						\
	X(device__resume, "device.resume", "", "a device works again")							\
	X(pci__read, "pci.read", "function %#llx, offset %#llx, %llu bytes: %#llx", "configuration space is read; function: bus * 256 + slot * 8 + function") \
	X(pci__write, "pci.write", "function %#llx, offset %#llx, %llu bytes: %#llx", "and written")			\
	X(virtio__status, "virtio.status", "%#llx, was %#llx", "a driver writes its status (virtio 1.2 section 2.1); 0: reset") \
	X(virtio__notify, "virtio.notify", "queue %llu", "a driver says that a queue has work")				\
	X(virtio__used, "virtio.used", "queue %llu, chain %llu: %llu bytes written", "a device has done what it took from a queue")	\
	X(block__begin, "block.begin", "operation %llu, %llu bytes at %llu", "a disk's request; 0 read, 1 write, 2 flush, 3 discard, 4 zeroes") \
	X(block__end, "block.end", "operation %llu, %llu bytes at %llu: error %llu", "and its end; 0: it succeeded")		\
	X(net__send, "net.send", "%llu bytes, queue %llu", "a NIC's frame to its network")				\
	X(net__receive, "net.receive", "%llu bytes, queue %llu: %llu", "a frame to a NIC; 1: it was taken, 0: it waits")	\
	X(control__command, "control.command", "", "a client of the control socket wants something done")

enum trace_point {
#define	TRACE_SYMBOL(symbol, name, form, help)	TRACE_##symbol,
	TRACE_POINTS(TRACE_SYMBOL)
#undef TRACE_SYMBOL
	TRACE_LAST
};

struct log;

/* What a point is called, and what it is about; NULL behind the last. */
const char *trace_name(enum trace_point p);
const char *trace_help(enum trace_point p);

/*
 * Turn points on whose names match one of the patterns in text, separated by commas (fnmatch(3): "block.*"), and all others off; NULL: all
 * off.  -1 with a sentence: a pattern matches nothing.  Any thread.
 */
int	trace_select(struct log *log, const char *text);

/* Turn those on, or off, that match one pattern, and leave the others.  Errors and threads: as above. */
int	trace_switch(struct log *log, const char *pattern, bool on);

/* For TRACE(): the beginning of a log is what is on, a bit per point. */
static inline bool
trace_on(struct log *log, enum trace_point p)
{
	return (log != NULL && (atomic_load_explicit((_Atomic uint64_t *)(void *)log, memory_order_relaxed) >> p & 1) != 0);
}

/* What trace_on() looks at, a bit per point, for who has to look from outside; it is valid as long as the log. */
static inline const uint64_t *
trace_bits(const struct log *log)
{
	return ((const uint64_t *)(const void *)log);
}

/* Tell it; args are as many numbers as the form has.  Any thread; takes the log's lock. */
void	trace_emit(struct log *log, enum trace_point p, const char *who, const uint64_t args[4]);

/* who may be NULL.  Up to four numbers behind it, which have no side effects. */
#define	TRACE(log, symbol, who, ...)											\
	do {														\
		STAP_PROBEV(hyve, symbol, (who), ##__VA_ARGS__);							\
		if (__builtin_expect(trace_on((log), TRACE_##symbol), 0))						\
			trace_emit((log), TRACE_##symbol, (who), (const uint64_t[4]){ __VA_ARGS__ });		\
	} while (0)

#endif /* _HYVE_TRACE_H_ */
