/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_gicv3.c - the GICv3 and its interrupt translation service under a guest that does anything: to registers of every frame and
 * processor interface, to command queues, to the tables in its memory, with lines and messages from outside.
 *
 * An input is a series of operations, a byte each with what it needs behind it.  The VM stays and is reset for each input.  One operation
 * sets the service up as an operating system would, so that mutations begin from where something works.
 */
#include <stdlib.h>
#include <string.h>

#include <vmmapi/arm64.h>

#include "../../lib/vmmapi/arm64/arm64.h"
#include "fuzz.h"
#include "fuzz_guest.h"

#define	NCPU		3U
#define	MEG		0x100000ULL
#define	RAM		0x40000000ULL
#define	RAM_LEN		(4 * MEG)
#define	GICD		0x08000000ULL
#define	ITS		0x08080000ULL
#define	GICR		0x080a0000ULL
#define	CONFIG		RAM
#define	PENDING(n)	(RAM + 0x20000 + 0x10000ULL * (n))
#define	QUEUE		(RAM + 0x80000)
#define	DEVICES		(RAM + 0x90000)
#define	COLLECTIONS	(RAM + 0x190000)
#define	ITT		(RAM + 0x1a0000)
#define	VALID		(1ULL << 63)
#define	OPS_MAX		300

enum { OP_SETUP, OP_DIST, OP_REDIST, OP_ITS, OP_SYSREG, OP_LINE, OP_PPI, OP_MESSAGE, OP_COMMAND, OP_TABLE, OP_TAKE, OP_STATE, OP_LAST };

static struct vmctx *vm;
static struct vcpu *cpu[NCPU];

static void
access(uint64_t addr, unsigned size, bool write, uint64_t val)
{
	(void)vm_access(vm, VM_SPACE_MEM, addr, size, write, &val);
}

static void
start(void)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };

	vm = vm_new(&spec);
	if (vm == NULL || vm_setup_memory(vm, RAM_LEN, VM_MMAP_ALL) != 0)
		abort();
	for (unsigned i = 0; i < NCPU; i++) {
		cpu[i] = vm_vcpu_open(vm, (int)i);
		if (cpu[i] == NULL)
			abort();
	}
	if (vm_attach_its(vm, ITS) != 0 || vm_start(vm) != 0)
		abort();
}

static void
command(const uint64_t dw[4])
{
	uint64_t at = 0;

	(void)vm_access(vm, VM_SPACE_MEM, ITS + 0x88, 8, false, &at);
	(void)vm_gpa_write(vm, QUEUE + at, dw, 32);
	access(ITS + 0x88, 8, true, (at + 32) % 4096);
}

static void
set_up(void)
{
	uint8_t conf[64];

	memset(conf, 0xa1, sizeof(conf));
	(void)vm_gpa_write(vm, CONFIG, conf, sizeof(conf));
	access(GICD, 4, true, 3);
	for (unsigned i = 0; i < NCPU; i++) {
		uint64_t pmr = 0xff, on = 1;

		access(GICR + 0x20000 * i + 0x14, 4, true, 0);
		access(GICR + 0x20000 * i + 0x70, 8, true, CONFIG | 15);
		access(GICR + 0x20000 * i + 0x78, 8, true, PENDING(i));
		access(GICR + 0x20000 * i, 4, true, 1);
		(void)vm->intc_ops->sysreg(cpu[i], ICC_PMR, true, &pmr);
		(void)vm->intc_ops->sysreg(cpu[i], ICC_IGRPEN1, true, &on);
	}
	access(ITS + 0x100, 8, true, VALID | DEVICES | 0xff);
	access(ITS + 0x108, 8, true, VALID | COLLECTIONS | 0xf);
	access(ITS + 0x80, 8, true, VALID | QUEUE);
	access(ITS, 4, true, 1);
}

/* Every processor takes and ends what there is. */
static void
take(void)
{
	for (unsigned i = 0; i < NCPU; i++) {
		for (unsigned n = 0; n < 16 && vm->intc_ops->pending(cpu[i]); n++) {
			uint64_t id = 0;

			(void)vm->intc_ops->sysreg(cpu[i], ICC_IAR1, false, &id);
			(void)vm->intc_ops->sysreg(cpu[i], ICC_EOIR1, true, &id);
		}
	}
}

static int
save(void *arg, struct vm_state_out *out)
{
	return (vm_state_save(arg, out));
}

static int
load(void *arg, struct vm_state_in *in)
{
	return (vm_state_load(arg, in));
}

static void
operation(const uint8_t **p, const uint8_t *end)
{
	uint64_t dw[4], val;
	unsigned size;

	switch (fuzz_bytes(p, end, 1) % OP_LAST) {
	case OP_SETUP:
		set_up();
		break;
	case OP_DIST:
	case OP_ITS:
		size = 1U << fuzz_bytes(p, end, 1) % 4;
		val = ((*p)[-1] & 0x80) != 0 ? ITS : GICD;
		access(val + fuzz_bytes(p, end, 2), size, ((*p)[-1] & 1) != 0, fuzz_bytes(p, end, size));
		break;
	case OP_REDIST:
		size = 1U << fuzz_bytes(p, end, 1) % 4;
		val = fuzz_bytes(p, end, 3) % (0x20000 * NCPU);
		access(GICR + val, size, true, fuzz_bytes(p, end, size));
		access(GICR + val, size, false, 0);
		break;
	case OP_SYSREG: {
		uint32_t reg = ICC_PMR + (uint32_t)fuzz_bytes(p, end, 2) % (ICC_IGRPEN1 - ICC_PMR + 1);
		unsigned i = (unsigned)fuzz_bytes(p, end, 1);

		val = fuzz_bytes(p, end, 8);
		(void)vm->intc_ops->sysreg(cpu[i % NCPU], reg, (i & 0x80) != 0, &val);
		break;
	}
	case OP_LINE:
		val = fuzz_bytes(p, end, 2);
		vm->intc_ops->set_line(vm, (unsigned)val & 0x1ff, (val & 0x8000) != 0);
		break;
	case OP_PPI:
		val = fuzz_bytes(p, end, 1);
		gicv3_set_ppi(cpu[val % NCPU], (unsigned)val / 4 % 40, (val & 0x80) != 0);
		break;
	case OP_MESSAGE:
		val = fuzz_bytes(p, end, 1);
		(void)vm->intc_ops->msi(vm, (uint32_t)fuzz_bytes(p, end, 1 + val % 4), val % 5 == 0 ? GICD + 0x40 : ITS + 0x10040,
		    (uint32_t)fuzz_bytes(p, end, 1 + val / 16 % 4));
		break;
	case OP_COMMAND:
		/* Small numbers of device, event and collection meet each other; the rest is anything. */
		dw[0] = fuzz_bytes(p, end, 1) | fuzz_bytes(p, end, 1) << 32;
		dw[1] = fuzz_bytes(p, end, 1) | (8192 + fuzz_bytes(p, end, 1)) << 32;
		dw[2] = fuzz_bytes(p, end, 1) | (fuzz_bytes(p, end, 1) & 3) << 16 | ITT | VALID;
		dw[3] = fuzz_bytes(p, end, 1) << 16;
		if (((*p)[-1] & 0x40) != 0)
			dw[fuzz_bytes(p, end, 1) % 4] = fuzz_bytes(p, end, 8);
		command(dw);
		break;
	case OP_TABLE:
		val = fuzz_bytes(p, end, 3);
		dw[0] = fuzz_bytes(p, end, 8);
		(void)vm_gpa_write(vm, RAM + val % (RAM_LEN - 8) / 8 * 8, dw, 8);
		break;
	case OP_TAKE:
		take();
		break;
	default:
		fuzz_state(vm, save, load);
		break;
	}
}

/* An event of device 8 becomes an LPI, moves, and survives a save. */
size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const uint8_t seed[] = {
		OP_SETUP,
		OP_COMMAND, 0x09, 0, 0, 0, 1, 0, 0,		/* MAPC 1 to processor 0 */
		OP_COMMAND, 0x09, 0, 0, 0, 2, 1, 0,		/* MAPC 2 to processor 1 */
		OP_COMMAND, 0x08, 8, 4, 0, 0, 0, 0,		/* MAPD */
		OP_COMMAND, 0x0a, 8, 3, 5, 1, 0, 0,		/* MAPTI event 3, LPI 8197, collection 1 */
		OP_MESSAGE, 0x01, 8, 0, 3,
		OP_COMMAND, 0x01, 8, 3, 0, 2, 0, 0,		/* MOVI to collection 2 */
		OP_STATE, OP_TAKE,
		OP_COMMAND, 0x0d, 0, 0, 0, 1, 0, 0,		/* INVALL */
		OP_COMMAND, 0x03, 8, 3, 0, 0, 0, 0,		/* INT */
		OP_COMMAND, 0x0e, 0, 0, 0, 0, 1, 0,		/* MOVALL */
		OP_COMMAND, 0x0f, 8, 3, 0, 0, 0, 0,		/* DISCARD */
		OP_LINE, 0x05, 0x80, OP_PPI, 0xec, OP_TAKE,
	};

	if (n != 0 || max < sizeof(seed))
		return (0);
	memcpy(buf, seed, sizeof(seed));
	return (sizeof(seed));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *p = data, *end = data + len;

	if (len < 2)
		return (0);
	if (vm == NULL)
		start();
	if (vm_reset(vm) != 0)
		abort();
	memset(vm_map_gpa(vm, RAM, RAM_LEN), 0, RAM_LEN);
	for (unsigned n = 0; n < OPS_MAX && p < end; n++)
		operation(&p, end);
	take();
	return (0);
}
