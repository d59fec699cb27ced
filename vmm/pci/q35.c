/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * q35.c - the two chipset functions that every PC has: the host bridge of the Intel 3 series (82P35
 * memory controller hub) and the LPC bridge of the ICH9.
 *
 * PCIEXBAR moves the configuration window, for a BIOS the PAM registers say where its area can be written, and the PIRQ registers route
 * interrupt pins to the 8259s.  The other registers are data: SMRAM is fixed, and the ACPI registers stay where the machine put them.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../error.h"
#include "pci.h"
#include "q35.h"

#define	COMMAND		0x04
#define	INTEL		0x8086
#define	SUBVENDOR	0x1af4		/* by these firmware knows a virtual machine */
#define	SUBDEVICE	0x1100

/* A register that is data: its value after reset, and what of it can be written. */
struct reg {
	uint8_t		off, len;
	uint32_t	value, mask;
};

/* Give the function its registers. */
static void
add_regs(struct pci_fn *fn, const struct reg *regs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pci_fill(fn, regs[i].off, &regs[i].value, regs[i].len);
		pci_writable(fn, regs[i].off, regs[i].len, regs[i].mask);
	}
}

/* Host bridge */

/* Intel 3 Series Express Chipset Family data sheet (316966): DRAM controller, device 0. */
#define	PCIEXBAR	0x60		/* 64 bits */
#define	PCIEXBAR_ENABLE	0x1U
#define	PCIEXBAR_LEN(v)	(((v) >> 1) & 3)	/* 256, 128 or 64 buses */
#define	PCIEXBAR_LOW	0xfc000007U	/* what can be written */
#define	PCIEXBAR_HIGH	0x0000000fU

#define	PAM0		0x90

static const struct reg host_regs[] = {
	{ COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER, 0 },
	{ PCIEXBAR, 4, 0, PCIEXBAR_LOW },
	{ PCIEXBAR + 4, 4, 0, PCIEXBAR_HIGH },
	{ PAM0, 4, 0, 0x33333330 }, { PAM0 + 4, 2, 0, 0x3333 }, { PAM0 + 6, 1, 0, 0x33 },
	{ 0x97, 1, 0, 0x83 },		/* LAC */
	{ 0x9d, 1, 0x02, 0x78 },	/* SMRAM */
	{ 0x9e, 1, 0x38, 0x87 },	/* ESMRAMC */
	{ 0xa0, 2, 1, 0x3ff },		/* TOM */
	{ 0xa2, 2, 0, 0xffff },		/* TOUUD */
	{ 0xa4, 4, 0, 0xfff00000 },	/* GBSM */
	{ 0xac, 4, 0, 0xfff00000 },	/* TSEGMB */
	{ 0xb0, 2, 0x10, 0xfff0 },	/* TOLUD */
	{ 0xdc, 4, 0, UINT32_MAX },	/* SKPD: scratch */
};

struct q35_host {
	struct pci_fn	 fn;
	bool		 has_pam;	/* the machine starts a BIOS */
	uint16_t	 closed;	/* segments of its area that cannot be written */
	uint32_t	 address;	/* state: port 0xcf8, while paused */
};

/* Segment's lock held, or on the control thread. */
static void
move_window(struct q35_host *q)
{
	struct pci_fn *fn = &q->fn;
	uint32_t low = pci_get(fn, PCIEXBAR, 4);
	uint64_t base = 0;
	unsigned buses = 256;

	if ((low & PCIEXBAR_ENABLE) != 0 && PCIEXBAR_LEN(low) < 3) {
		buses >>= PCIEXBAR_LEN(low);
		/* Bits that a shorter window would need are no part of a longer one's address. */
		base = (uint64_t)pci_get(fn, PCIEXBAR + 4, 4) << 32 | low;
		base &= ~(((uint64_t)buses << 20) - 1);
	}
	if (pci_host_set_ecam_buses(fn->host, base, buses) != 0)
		device_guest_log(fn->dev, "%s", vmm_errmsg());
}

/*
 * PAM0 to PAM6: two bits for each 16 KiB from 0xc0000 on, the lower half of a register first, and in PAM0 for the 64 KiB at 0xf0000.
 * The upper bit lets the RAM be written.  Where the lower one lets ROM be read, there is a copy of it in that RAM: nothing else is seen
 * until something is written.  Segment's lock held, or on the control thread.
 */
static void
set_pam(struct q35_host *q)
{
	struct pci_fn *fn = &q->fn;

	for (unsigned i = 0; q->has_pam && i < 13; i++) {
		unsigned reg = i < 12 ? PAM0 + 1 + i / 2 : PAM0, shift = i < 12 && i % 2 == 0 ? 0 : 4;
		bool closed = (pci_get(fn, reg, 1) >> shift & 2) == 0;

		if (closed == ((q->closed & 1U << i) != 0))
			continue;
		if (vm_mprotect_memseg(fn->dev->vmm->vm, 0xc0000 + i * 0x4000ULL, i < 12 ? 0x4000 : 0x10000,
		    closed ? VM_PROT_READ | VM_PROT_EXEC : VM_PROT_ALL) != 0)
			device_guest_log(fn->dev, "%s", vm_errmsg());
		else
			q->closed ^= (uint16_t)(1U << i);
	}
}

static void
host_written(struct pci_fn *fn, unsigned off, unsigned size)
{
	if (off + size > PAM0 && off < PAM0 + 7)
		set_pam((struct q35_host *)(void *)fn);
	if (off + size > PCIEXBAR && off < PCIEXBAR + 8)
		move_window((struct q35_host *)(void *)fn);
}

static const struct pci_ops host_ops = { .cap_written = host_written };

static int
host_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = INTEL, .device = 0x29c0, .subvendor = SUBVENDOR, .subdevice = SUBDEVICE, .class_code = 0x060000,
		.revision = 2,
	};
	struct q35_host *q = dev->soft;
	uint64_t ecam;

	q->has_pam = dev->place.base != 0;
	if (pci_init(&q->fn, dev, &ident, &host_ops) != 0)
		return (-1);
	add_regs(&q->fn, host_regs, sizeof(host_regs) / sizeof(host_regs[0]));
	/* Without firmware it is set up from the start. */
	ecam = pci_host_ecam(dev->place.pci);
	if (ecam != 0) {
		ecam |= PCIEXBAR_ENABLE;
		pci_fill(&q->fn, PCIEXBAR, &ecam, sizeof(ecam));
	}
	return (0);
}

static void
host_fini(struct device *dev)
{
	pci_fini(&((struct q35_host *)dev->soft)->fn);
}

static void
host_reset(struct device *dev)
{
	struct q35_host *q = dev->soft;

	pci_reset(&q->fn);
	q->address = 0;
	pci_host_set_address(q->fn.host, 0);
	move_window(q);
	set_pam(q);
}

static void
host_pause(struct device *dev)
{
	struct q35_host *q = dev->soft;

	pci_pause(&q->fn);
	q->address = pci_host_address(q->fn.host);
}

static void
host_resume(struct device *dev)
{
	struct q35_host *q = dev->soft;

	pci_resume(&q->fn);
	pci_host_set_address(q->fn.host, q->address);
	move_window(q);
	set_pam(q);
}

static const struct vm_state_field host_fields[] = {
	PCI_STATE(struct q35_host), VM_STATE_U32(struct q35_host, address),
};

static const struct vm_state_table host_state = VM_STATE_TABLE("q35-host", 1, 1, host_fields, NULL);

DEVICE_CLASS_NOKEYS(q35_host, "q35-host", "PCI Express host bridge of a PC", &host_state,
    .on = DEVICE_ON_PCI,
    .size = sizeof(struct q35_host),
    .init = host_init,
    .fini = host_fini,
    .reset = host_reset,
    .pause = host_pause,
    .resume = host_resume);

/* LPC bridge */

/* Intel I/O Controller Hub 9 data sheet (316972): LPC interface, device 31 function 0. */
#define	PMBASE		0x40
#define	PMBASE_MASK	0xff80U
#define	ACPI_CNTL	0x44
#define	ACPI_EN		0x80U
#define	IO_SPACE	1U		/* bit 0 of an address of ports */

static const struct reg lpc_regs[] = {
	{ COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER, 0 },	/* always on: firmware finds COM1 behind it by that */
	{ PMBASE, 4, IO_SPACE, PMBASE_MASK },
	{ ACPI_CNTL, 1, 0, 0x87 },
	{ 0x48, 4, IO_SPACE, 0xff80 },		/* GPIOBASE */
	{ 0x4c, 1, 0, 0x10 },			/* GC */
	{ 0x60, 4, 0x80808080, 0x8f8f8f8f },	/* PIRQA to PIRQD: to the 8259s, off after reset */
	{ 0x64, 1, 0x10, 0xd0 },		/* SIRQ_CNTL */
	{ 0x68, 4, 0x80808080, 0x8f8f8f8f },	/* PIRQE to PIRQH */
	{ 0x80, 2, 0, 0x1377 },			/* LPC_I/O_DEC */
	{ 0x82, 2, 0, 0x3f0f },			/* LPC_EN */
	{ 0xa0, 2, 0, 0x073f },			/* GEN_PMCON_1 */
	{ 0xdc, 1, 0, 0x03 },			/* BIOS_CNTL */
	{ 0xf0, 4, 0, 0xffffc001 },		/* RCBA */
};

#define	PIRQA		0x60
#define	PIRQE		0x68
#define	PIRQ_OFF	0x80U		/* not routed */

/* 13.1.9: not to the 8254, the keyboard, the cascade, the RTC and the coprocessor. */
#define	ROUTES		0xdef8U

struct ich9_lpc {
	struct pci_fn	 fn;
	struct vm_irq	*isa[Q35_ISA_LINES];
	/*
	 * Guards what follows, which is derived.  Taken with a function's lock held, and only interrupt handles are used under it.
	 */
	pthread_mutex_t	 lock;
	bool		 active;		/* between resume and pause */
	uint8_t		 pin[32];		/* functions of a slot whose pin is raised */
	uint8_t		 route[Q35_PIRQS];	/* the registers */
};

bool
q35_lpc_routes_to(unsigned line)
{
	return (line < Q35_ISA_LINES && (ROUTES >> line & 1) != 0);
}

static bool
pirq_level(const struct ich9_lpc *l, unsigned pirq)
{
	uint8_t pins = 0;

	for (unsigned slot = pirq; slot < sizeof(l->pin); slot += Q35_PIRQS)
		pins |= l->pin[slot];
	return (pins != 0);
}

/* The input that a PIRQ is routed to, as a bit; 0: none.  Lock held. */
static unsigned
routed_to(const struct ich9_lpc *l, unsigned pirq)
{
	return ((l->route[pirq] & PIRQ_OFF) == 0 ? 1U << (l->route[pirq] & 0xf) : 0);
}

/* Inputs, a bit each, are what is routed to them, wired-OR.  Lock held. */
static void
drive_isa(struct ich9_lpc *l, unsigned inputs)
{
	unsigned raised = 0;

	for (unsigned i = 0; i < Q35_PIRQS; i++) {
		if (pirq_level(l, i))
			raised |= routed_to(l, i);
	}
	for (unsigned i = 0; l->active && i < Q35_ISA_LINES; i++) {
		if ((inputs >> i & 1) != 0 && l->isa[i] != NULL)
			(void)((raised >> i & 1) != 0 ? vm_irq_assert(l->isa[i]) : vm_irq_deassert(l->isa[i]));
	}
}

/* Nothing is raised any more. */
static void
release_isa(struct ich9_lpc *l)
{
	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		if (l->isa[i] != NULL)
			(void)vm_irq_deassert(l->isa[i]);
	}
}

static void
pin_changed(void *arg, uint8_t devfn, bool level)
{
	struct ich9_lpc *l = arg;
	uint8_t bit = (uint8_t)(1U << (devfn & 7)), *pins = &l->pin[devfn >> 3];

	pthread_mutex_lock(&l->lock);
	if (((*pins & bit) != 0) != level) {
		*pins ^= bit;
		drive_isa(l, routed_to(l, (devfn >> 3) % Q35_PIRQS));
	}
	pthread_mutex_unlock(&l->lock);
}

static unsigned
pirq_reg(unsigned pirq)
{
	return (pirq < 4 ? PIRQA + pirq : PIRQE + pirq - 4);
}

static void
set_routes(struct ich9_lpc *l)
{
	uint8_t route[Q35_PIRQS];

	for (unsigned i = 0; i < Q35_PIRQS; i++)
		route[i] = (uint8_t)pci_get(&l->fn, pirq_reg(i), 1);
	pthread_mutex_lock(&l->lock);
	memcpy(l->route, route, sizeof(route));
	drive_isa(l, ROUTES);
	pthread_mutex_unlock(&l->lock);
}

static void
lpc_written(struct pci_fn *fn, unsigned off, unsigned size)
{
	if (off + size > PIRQA && off < PIRQE + 4)
		set_routes((struct ich9_lpc *)(void *)fn);
}

static const struct pci_ops lpc_ops = { .cap_written = lpc_written };

void
q35_lpc_set_isa(struct device *lpc, struct vm_irq *const isa[Q35_ISA_LINES])
{
	struct ich9_lpc *l = lpc->soft;

	for (unsigned i = 0; i < Q35_ISA_LINES; i++)
		l->isa[i] = q35_lpc_routes_to(i) ? isa[i] : NULL;
}

void
q35_lpc_route(struct device *lpc, const uint8_t line[Q35_PIRQS])
{
	struct ich9_lpc *l = lpc->soft;

	for (unsigned i = 0; i < Q35_PIRQS; i++)
		pci_put(&l->fn, pirq_reg(i), 1, line[i]);
	set_routes(l);
	pci_host_set_lines(l->fn.host, line, Q35_PIRQS);
}

static int
lpc_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = INTEL, .device = 0x2918, .subvendor = SUBVENDOR, .subdevice = SUBDEVICE, .class_code = 0x060100,
		.revision = 2,
	};
	struct ich9_lpc *l = dev->soft;
	uint32_t base = (uint32_t)dev->place.base | IO_SPACE;
	uint8_t on = ACPI_EN;

	if ((dev->place.base & ~(uint64_t)PMBASE_MASK) != 0)
		return (vmm_fail(EINVAL, "%s: the ACPI registers cannot be at %#llx", dev->name,
		    (unsigned long long)dev->place.base));
	if (pci_init(&l->fn, dev, &ident, &lpc_ops) != 0)
		return (-1);
	pthread_mutex_init(&l->lock, NULL);
	pci_host_on_pin(l->fn.host, pin_changed, l);
	add_regs(&l->fn, lpc_regs, sizeof(lpc_regs) / sizeof(lpc_regs[0]));
	if (dev->place.base != 0) {
		pci_fill(&l->fn, PMBASE, &base, sizeof(base));
		pci_fill(&l->fn, ACPI_CNTL, &on, sizeof(on));
	}
	return (0);
}

static void
lpc_fini(struct device *dev)
{
	struct ich9_lpc *l = dev->soft;

	pci_host_on_pin(l->fn.host, NULL, NULL);
	release_isa(l);
	pci_fini(&l->fn);
	pthread_mutex_destroy(&l->lock);
}

static void
lpc_reset(struct device *dev)
{
	struct ich9_lpc *l = dev->soft;

	pci_reset(&l->fn);
	set_routes(l);
	release_isa(l);
}

static void
lpc_pause(struct device *dev)
{
	struct ich9_lpc *l = dev->soft;

	pci_pause(&l->fn);
	pthread_mutex_lock(&l->lock);
	l->active = false;
	pthread_mutex_unlock(&l->lock);
}

static void
lpc_resume(struct device *dev)
{
	struct ich9_lpc *l = dev->soft;

	pci_resume(&l->fn);
	pthread_mutex_lock(&l->lock);
	l->active = true;
	pthread_mutex_unlock(&l->lock);
	set_routes(l);
}

static const struct vm_state_field lpc_fields[] = { PCI_STATE(struct ich9_lpc) };

static const struct vm_state_table lpc_state = VM_STATE_TABLE("ich9-lpc", 1, 1, lpc_fields, NULL);

DEVICE_CLASS_NOKEYS(ich9_lpc, "ich9-lpc", "bridge of a PC to what is on ports", &lpc_state,
    .on = DEVICE_ON_PCI,
    .size = sizeof(struct ich9_lpc),
    .init = lpc_init,
    .fini = lpc_fini,
    .reset = lpc_reset,
    .pause = lpc_pause,
    .resume = lpc_resume);
