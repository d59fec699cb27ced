/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ioapic.c - the I/O APIC (Intel 82093AA datasheet, order number 290566) with 24 inputs, of version
 * 20H: it has the EOI register of the later chip sets at offset 40H.
 *
 * The polarity bit is kept and has no effect: lines carry "asserted" or not, and how a machine's
 * wires would say that is its firmware's tables' and its guest's agreement.
 */
#include <string.h>

#include "apic.h"

#define	RTE_VECTOR	0x00ffULL
#define	RTE_MODE_SHIFT	8
#define	RTE_LOGICAL	0x0800ULL
#define	RTE_DELIVS	0x1000ULL	/* read-only; delivery takes no time here */
#define	RTE_REMOTE_IRR	0x4000ULL	/* read-only */
#define	RTE_LEVEL	0x8000ULL
#define	RTE_MASKED	0x10000ULL
#define	RTE_DEST_SHIFT	56
#define	RTE_WRITABLE	0xff0000000001afffULL

#define	REG_SELECT	0x00
#define	REG_WINDOW	0x10
#define	REG_EOI		0x40

#define	IDX_ID		0x00
#define	IDX_VERSION	0x01
#define	IDX_ARB		0x02
#define	IDX_RTE		0x10

#define	VERSION		(((AMD64_NPINS - 1) << 16) | 0x20)

void
ioapic_reset(struct ioapic *io)
{
	uint32_t line = io->line;

	memset(io, 0, sizeof(*io));
	io->line = line;
	for (unsigned i = 0; i < AMD64_NPINS; i++)
		io->rte[i] = RTE_MASKED;
}

/*
 * Fixed and lowest-priority interrupts may be levels; the other modes are edges whatever the
 * trigger bit says (3.2.4).
 */
static bool
is_level(uint64_t rte)
{
	unsigned mode = (rte >> RTE_MODE_SHIFT) & 7;

	return ((rte & RTE_LEVEL) != 0 && (mode == APIC_FIXED || mode == APIC_LOWEST));
}

/* Send the input's message; true if someone took it. */
static bool
deliver(struct apic *a, unsigned pin, struct apic_work *w)
{
	uint64_t rte = a->ioapic.rte[pin];
	struct apic_msg msg = {
		.dest = (uint32_t)(rte >> RTE_DEST_SHIFT),
		.mode = (rte >> RTE_MODE_SHIFT) & 7,
		.vector = rte & RTE_VECTOR,
		.logical = (rte & RTE_LOGICAL) != 0,
		.level = is_level(rte),
	};

	return (apic_send(a, &msg, w));
}

/* A level input that is asserted, open and not waiting for an EOI: deliver it. */
static void
offer(struct apic *a, unsigned pin, struct apic_work *w)
{
	uint64_t *rte = &a->ioapic.rte[pin];

	if (!is_level(*rte) || (*rte & (RTE_MASKED | RTE_REMOTE_IRR)) != 0 ||
	    (a->ioapic.line & (1U << pin)) == 0)
		return;
	if (deliver(a, pin, w))
		*rte |= RTE_REMOTE_IRR;
}

void
ioapic_set(struct apic *a, unsigned pin, bool level, struct apic_work *w)
{
	struct ioapic *io = &a->ioapic;
	uint32_t bit = 1U << pin;
	bool edge = level && (io->line & bit) == 0;

	io->line = level ? io->line | bit : io->line & ~bit;
	if (is_level(io->rte[pin]))
		offer(a, pin, w);
	else if (edge && (io->rte[pin] & RTE_MASKED) == 0)
		(void)deliver(a, pin, w);	/* an edge that is masked is lost (3.2.4, interrupt mask) */
}

void
ioapic_eoi(struct apic *a, uint8_t vector, struct apic_work *w)
{
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		uint64_t rte = a->ioapic.rte[i];

		if ((rte & RTE_LEVEL) != 0 && (rte & RTE_REMOTE_IRR) != 0 && (rte & RTE_VECTOR) == vector)
			w->pins |= 1U << i;
	}
}

void
ioapic_reopen(struct apic *a, uint32_t pins, struct apic_work *w)
{
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		if ((pins & (1U << i)) == 0)
			continue;
		a->ioapic.rte[i] &= ~RTE_REMOTE_IRR;
		offer(a, i, w);
	}
}

void
ioapic_retry(struct apic *a, struct apic_work *w)
{
	for (unsigned i = 0; i < AMD64_NPINS; i++)
		offer(a, i, w);
}

uint32_t
ioapic_read(struct ioapic *io, uint64_t off)
{
	unsigned i;

	if (off == REG_SELECT)
		return (io->select);
	if (off != REG_WINDOW)
		return (0);
	switch (io->select) {
	case IDX_ID:
	case IDX_ARB:
		return ((uint32_t)io->id << 24);
	case IDX_VERSION:
		return (VERSION);
	default:
		i = io->select - IDX_RTE;
		if (io->select < IDX_RTE || i >= 2 * AMD64_NPINS)
			return (0);
		return ((uint32_t)((i & 1) != 0 ? io->rte[i / 2] >> 32 : io->rte[i / 2]));
	}
}

static void
write_rte(struct apic *a, unsigned i, uint32_t val, struct apic_work *w)
{
	uint64_t *rte = &a->ioapic.rte[i / 2], new;

	if ((i & 1) != 0)
		new = (*rte & 0xffffffffU) | (uint64_t)val << 32;
	else
		new = (*rte & ~0xffffffffULL) | val;
	new = (new & RTE_WRITABLE) | (*rte & RTE_REMOTE_IRR);
	/*
	 * Remote IRR has a meaning for level inputs only; software clears it by a turn to edge and
	 * back.
	 */
	if ((new & RTE_LEVEL) == 0)
		new &= ~RTE_REMOTE_IRR;
	*rte = new;
	offer(a, i / 2, w);
}

void
ioapic_write(struct apic *a, uint64_t off, uint32_t val, struct apic_work *w)
{
	struct ioapic *io = &a->ioapic;
	unsigned i;

	switch (off) {
	case REG_SELECT:
		io->select = (uint8_t)val;
		break;
	case REG_WINDOW:
		i = io->select - IDX_RTE;
		if (io->select == IDX_ID)
			io->id = (val >> 24) & 0xf;
		else if (io->select >= IDX_RTE && i < 2 * AMD64_NPINS)
			write_rte(a, i, val, w);
		break;
	case REG_EOI:
		ioapic_eoi(a, (uint8_t)val, w);
		break;
	default:
		break;
	}
}

static int
ioapic_check(void *obj)
{
	const struct ioapic *io = obj;

	if (io->id > 15 || io->line >> AMD64_NPINS != 0)
		return (vm_state_complain("I/O APIC: a register is out of range"));
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		if ((io->rte[i] & ~(RTE_WRITABLE | RTE_REMOTE_IRR)) != 0 ||
		    ((io->rte[i] & RTE_REMOTE_IRR) != 0 && (io->rte[i] & RTE_LEVEL) == 0))
			return (vm_state_complain("I/O APIC: entry %u has impossible bits", i));
	}
	return (0);
}

static const struct vm_state_field ioapic_fields[] = {
	VM_STATE_U64S(struct ioapic, rte),
	VM_STATE_U32(struct ioapic, line),
	VM_STATE_U8(struct ioapic, id),
	VM_STATE_U8(struct ioapic, select),
};

const struct vm_state_table ioapic_table = VM_STATE_TABLE("ioapic", 1, 1, ioapic_fields, ioapic_check);
