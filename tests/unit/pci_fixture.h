/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_fixture.h - a PCI segment on the VM fixture, its registers as a guest reaches them, and a
 * processor that says which messages arrive.
 */
#ifndef _PCI_FIXTURE_H_
#define	_PCI_FIXTURE_H_

#include <vmmapi/amd64.h>

#include "pci/pci.h"
#include "vmm_fixture.h"

#define	ECAM		0xb0000000ULL
#define	IO_BASE		0x6000U
#define	MEM32_BASE	0xc0000000ULL
#define	MEM64_BASE	0x800000000ULL

#define	R_COMMAND	0x04
#define	R_STATUS	0x06
#define	R_BAR(n)	(0x10U + 4U * (n))
#define	R_LINE		0x3c
#define	R_PIN		0x3d
#define	CAP_ID_MSIX	0x11
#define	MSIX_ON		0x8000U
#define	MSIX_MASKED	0x4000U

/* A message for vector v to the processor whose id is 0. */
#define	MSI_ADDR	0xfee00000U
#define	MSI_DATA(v)	((uint32_t)(v))

static inline struct pci_host *
px_host(struct fx *fx)
{
	const struct pci_host_spec spec = {
		.ecam = ECAM, .ports = true, .io_base = IO_BASE, .io_limit = 0x10000, .mem32_base = MEM32_BASE,
		.mem32_limit = 0xd0000000, .mem64_base = MEM64_BASE, .mem64_limit = MEM64_BASE + (1ULL << 30),
	};
	struct pci_host *host = pci_host_new(&fx->vmm, &spec);

	CHECKF(host != NULL, "%s", vmm_errmsg());
	return (host);
}

/* A device of a class at devfn, with irq as its pin (or NULL) and keys in lines "name.key=value"; NULL with a sentence. */
static inline struct device *
px_make_with(struct fx *fx, struct pci_host *host, const char *cls, const char *name, unsigned devfn, struct vm_irq *irq, const char *keys)
{
	const struct device_place place = {
		.on = DEVICE_ON_PCI, .pci = host, .devfn = (uint8_t)devfn, .nirqs = irq != NULL, .irq = { irq },
	};

	return (fx_make_with(fx, cls, name, &place, keys));
}

static inline struct device *
px_make(struct fx *fx, struct pci_host *host, const char *cls, const char *name, unsigned devfn, struct vm_irq *irq)
{
	return (px_make_with(fx, host, cls, name, devfn, irq, ""));
}

/* The life of a function of a test's own, whose state begins with its struct pci_fn. */
static inline void
px_fini(struct device *dev)
{
	pci_fini(dev->soft);
}

static inline void
px_reset(struct device *dev)
{
	pci_reset(dev->soft);
}

static inline void
px_pause(struct device *dev)
{
	pci_pause(dev->soft);
}

static inline void
px_resume(struct device *dev)
{
	pci_resume(dev->soft);
}

/* Configuration registers by ports; off may be in the middle of a register. */
static inline uint32_t
cfg_port_r(struct fx *fx, unsigned devfn, unsigned off, unsigned size)
{
	fx_write(fx, VM_SPACE_IO, 0xcf8, 4, 0x80000000U | devfn << 8 | (off & 0xfc));
	return ((uint32_t)fx_read(fx, VM_SPACE_IO, 0xcfc + (off & 3), size));
}

static inline void
cfg_port_w(struct fx *fx, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
	fx_write(fx, VM_SPACE_IO, 0xcf8, 4, 0x80000000U | devfn << 8 | (off & 0xfc));
	fx_write(fx, VM_SPACE_IO, 0xcfc + (off & 3), size, val);
}

/* Configuration registers by memory. */
static inline uint32_t
cfg_r(struct fx *fx, unsigned devfn, unsigned off, unsigned size)
{
	return ((uint32_t)fx_read(fx, VM_SPACE_MEM, ECAM + (devfn << 12) + off, size));
}

static inline void
cfg_w(struct fx *fx, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
	fx_write(fx, VM_SPACE_MEM, ECAM + (devfn << 12) + off, size, val);
}

/* The capability of that id behind the one at off (0: the first); 0: none. */
static inline unsigned
cfg_cap(struct fx *fx, unsigned devfn, uint8_t id, unsigned off)
{
	if ((cfg_r(fx, devfn, R_STATUS, 2) & 0x10) == 0)
		return (0);
	off = cfg_r(fx, devfn, off == 0 ? 0x34 : off + 1, 1);
	for (unsigned n = 0; off != 0; n++) {
		CHECK(n < 48 && off >= 0x40 && off % 4 == 0);
		if (cfg_r(fx, devfn, off, 1) == id)
			return (off);
		off = cfg_r(fx, devfn, off + 1, 1);
	}
	return (0);
}

/* Address of a BAR, as its registers say. */
static inline uint64_t
cfg_bar(struct fx *fx, unsigned devfn, unsigned n)
{
	uint64_t v = cfg_r(fx, devfn, R_BAR(n), 4);

	if ((v & 1) != 0)
		return (v & ~3ULL);
	if ((v & 6) == 4)
		v |= (uint64_t)cfg_r(fx, devfn, R_BAR(n + 1), 4) << 32;
	return (v & ~0xfULL);
}

/* Message vectors of a function: where its table and pending bits are. */
struct px_msix {
	struct fx	*fx;
	unsigned	 devfn, cap, nvec;
	uint64_t	 table, pba;
};

static inline struct px_msix
px_msix(struct fx *fx, unsigned devfn)
{
	struct px_msix m = { .fx = fx, .devfn = devfn, .cap = cfg_cap(fx, devfn, CAP_ID_MSIX, 0) };
	uint32_t table, pba;

	CHECK(m.cap != 0);
	m.nvec = (cfg_r(fx, devfn, m.cap + 2, 2) & 0x7ff) + 1;
	table = cfg_r(fx, devfn, m.cap + 4, 4);
	pba = cfg_r(fx, devfn, m.cap + 8, 4);
	m.table = cfg_bar(fx, devfn, table & 7) + (table & ~7U);
	m.pba = cfg_bar(fx, devfn, pba & 7) + (pba & ~7U);
	return (m);
}

static inline void
msix_control(const struct px_msix *m, uint32_t val)
{
	cfg_w(m->fx, m->devfn, m->cap + 2, 2, val);
}

static inline void
msix_mask(const struct px_msix *m, unsigned vec, bool masked)
{
	fx_write(m->fx, VM_SPACE_MEM, m->table + 16 * vec + 12, 4, masked);
}

/* Vector vec is message MSI_ADDR, data from now on, unmasked. */
static inline void
msix_set(const struct px_msix *m, unsigned vec, uint32_t data)
{
	fx_write(m->fx, VM_SPACE_MEM, m->table + 16 * vec, 4, MSI_ADDR);
	fx_write(m->fx, VM_SPACE_MEM, m->table + 16 * vec + 4, 4, 0);
	fx_write(m->fx, VM_SPACE_MEM, m->table + 16 * vec + 8, 4, data);
	msix_mask(m, vec, false);
}

static inline bool
msix_pending(const struct px_msix *m, unsigned vec)
{
	return ((fx_read(m->fx, VM_SPACE_MEM, m->pba + vec / 32 * 4, 4) >> (vec % 32) & 1) != 0);
}

/*
 * A processor in real mode that halts, and for interrupts 0x40 to 0x5f writes their number to a port.
 */
struct px_cpu {
	struct vcpu	*cpu;
};

#define	PX_CODE		0x8000U
#define	PX_STUBS	0x8100U
#define	PX_FIRST	0x40U
#define	PX_LAST		0x5fU

static inline void
px_start(struct px_cpu *c, struct fx *fx)
{
	static const uint8_t code[] = {
		0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32,		/* IA32_APIC_BASE: x2APIC mode (SDM vol. 3 11.12.1) */
		0x66, 0x0d, 0x00, 0x0c, 0, 0, 0x0f, 0x30,
		0x66, 0xb9, 0x0f, 0x08, 0, 0,			/* spurious vector register: enabled */
		0x66, 0xb8, 0xff, 0x01, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x30,
		0xb0, 0x01, 0xe6, 0xe0, 0xfb,			/* out 0xe0; sti */
		0xf4, 0xeb, 0xfd,				/* hlt, for ever */
	};
	static const uint8_t stub[] = {
		0x50, 0xb0, 0, 0xe6, 0xe1,			/* out 0xe1 */
		0x66, 0xb9, 0x0b, 0x08, 0, 0,			/* end of interrupt */
		0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2, 0x0f, 0x30, 0x58, 0xcf,
	};
	struct vm_exit ex;

	c->cpu = vm_vcpu_open(fx->vmm.vm, 0);
	CHECKF(c->cpu != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_gpa_write(fx->vmm.vm, PX_CODE, code, sizeof(code)), 0);
	for (unsigned v = PX_FIRST; v <= PX_LAST; v++) {
		uint32_t at = PX_STUBS + 32 * (v - PX_FIRST);
		uint8_t n = (uint8_t)v;

		CHECK_EQ(vm_gpa_write(fx->vmm.vm, at, stub, sizeof(stub)), 0);
		CHECK_EQ(vm_gpa_write(fx->vmm.vm, at + 2, &n, 1), 0);
		CHECK_EQ(vm_gpa_write(fx->vmm.vm, 4 * v, &at, 4), 0);
	}
	CHECKF(vm_set_desc(c->cpu, VM_AMD64_REG_CS, 0, 0xffff, 0x9b) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_set_register(c->cpu, VM_AMD64_REG_CS, 0), 0);
	CHECK_EQ(vm_set_register(c->cpu, VM_AMD64_REG_RIP, PX_CODE), 0);
	CHECK_EQ(vm_set_register(c->cpu, VM_AMD64_REG_RSP, 0x7000), 0);
	CHECKF(vm_set_capability(c->cpu, VM_CAP_HALT_EXIT, 1) == 0, "%s", vm_errmsg());
	CHECKF(vm_run(c->cpu, &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_IO);
	CHECK_EQ(ex.u.io.port, 0xe0);
}

/* The number of the next interrupt, 0 if there is none. */
static inline unsigned
px_next(struct px_cpu *c)
{
	struct vm_exit ex;

	CHECKF(vm_run(c->cpu, &ex) == 0, "%s", vm_errmsg());
	if (ex.code == VM_EXIT_HALT)
		return (0);
	CHECK_EQ(ex.code, VM_EXIT_IO);
	CHECK_EQ(ex.u.io.port, 0xe1);
	return ((unsigned)ex.u.io.data & 0xff);
}

#endif /* _PCI_FIXTURE_H_ */
