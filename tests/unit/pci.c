/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci.c - configuration space, BARs, message vectors and pins of PCI functions, as a guest meets them.
 */
#include <pthread.h>

#include "pci_fixture.h"

#define	NVEC	40
#define	SLOT	PCI_DEVFN(3, 0)

/* A function of the test's own, with every kind of BAR and a capability of its own. */
struct tpci {
	struct pci_fn	 fn;
	unsigned	 cap;
	struct {
		unsigned n, moves;
		bool mapped;
		uint64_t addr;
	} bar[PCI_NBARS];
	unsigned	 commands, cap_off, cap_size, cap_writes;
	uint16_t	 command;
	uint64_t	 last[PCI_NBARS];	/* value of the last write */
};

/* Reads tell which BAR and where; arg is &t->bar[n]. */
static uint64_t
t_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return ((uint64_t)*(unsigned *)arg << 28 | off);
}

static struct tpci *
of_bar(unsigned *n)
{
	size_t at = offsetof(struct tpci, bar) + *n * sizeof(((struct tpci *)0)->bar[0]);

	return ((struct tpci *)(void *)((char *)n - at));
}

static void
t_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	__atomic_store_n(&of_bar(arg)->last[*(unsigned *)arg], val, __ATOMIC_RELAXED);	/* several vCPUs */
}

static const struct pci_bar_ops bar_ops = { t_read, t_write };

static void
t_moved(struct pci_fn *fn, unsigned n, bool mapped, uint64_t addr)
{
	struct tpci *t = (struct tpci *)(void *)fn;

	t->bar[n].moves++;
	t->bar[n].mapped = mapped;
	t->bar[n].addr = addr;
}

static void
t_command(struct pci_fn *fn, uint16_t cmd)
{
	struct tpci *t = (struct tpci *)(void *)fn;

	t->commands++;
	t->command = cmd;
}

static void
t_cap_written(struct pci_fn *fn, unsigned off, unsigned size)
{
	struct tpci *t = (struct tpci *)(void *)fn;

	t->cap_off = off;
	t->cap_size = size;
	t->cap_writes++;
}

/* The last double word of its capability is computed. */
static bool
t_cap_read(struct pci_fn *fn, unsigned off, unsigned size, uint32_t *val)
{
	const struct tpci *t = (const struct tpci *)(const void *)fn;

	if (off < t->cap + 8 || off >= t->cap + 12)
		return (false);
	*val = 0x5a5a5a5aU >> (32 - 8 * size);
	return (true);
}

static const struct pci_ops pci_ops = { t_moved, t_command, t_cap_written, t_cap_read };

static const struct {
	unsigned n;
	enum pci_bar_kind kind;
	uint64_t size;
} bars[] = {
	{ 0, PCI_BAR_MEM32, 0x1000 }, { 1, PCI_BAR_IO, 0x40 }, { 2, PCI_BAR_MEM64, 0x10000 },
};

static int
t_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = 0x1234, .device = 0x5678, .subvendor = 0x9abc, .subdevice = 0xdef0, .class_code = 0x0c0330, .revision = 7, .intx = true,
	};
	struct tpci *t = dev->soft;

	if (pci_init(&t->fn, dev, &ident, &pci_ops) != 0)
		return (-1);
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = bars[i].n;

		t->bar[n].n = n;
		CHECK_EQ(pci_add_bar(&t->fn, n, bars[i].kind, bars[i].size, &bar_ops, &t->bar[n].n), 0);
	}
	t->cap = pci_add_cap(&t->fn, 0x09, 12);
	CHECK_EQ(t->cap, 0x40);
	pci_fill(&t->fn, t->cap + 4, "\x11\x22\x33\x44", 4);
	pci_writable(&t->fn, t->cap + 4, 4, 0xff00ff00);
	if (pci_add_msix(&t->fn, NVEC, 4) != 0) {
		pci_fini(&t->fn);
		return (-1);
	}
	return (0);
}

static const struct vm_state_field fields[] = { PCI_STATE(struct tpci) };
static const struct vm_state_table state = VM_STATE_TABLE("test-pci", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(test_pci, "test-pci", "function of a test", &state, .on = DEVICE_ON_PCI,
    .size = sizeof(struct tpci), .init = t_init, .fini = px_fini, .reset = px_reset, .pause = px_pause,
    .resume = px_resume);

static struct fx fx;
static struct pci_host *host;
static struct tpci *t;
static struct px_msix mx;

static void
setup(void)
{
	struct device *dev;

	fx_open(&fx);
	host = px_host(&fx);
	dev = px_make(&fx, host, "test-pci", "t", SLOT, fx.irq);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	t = dev->soft;
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	mx = px_msix(&fx, SLOT);
	CHECK_EQ(mx.nvec, NVEC);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

TEST(identity_in_every_width)
{
	static const uint8_t head[] = {
		0x34, 0x12, 0x78, 0x56, 0x03, 0x00, 0x10, 0x00, 0x07, 0x30, 0x03, 0x0c, 0x00, 0x00, 0x00, 0x00,
	};
	uint64_t want;

	setup();
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned off = 0; off + size <= sizeof(head); off++) {
			want = 0;
			memcpy(&want, head + off, size);
			CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ECAM + (SLOT << 12) + off, size), want);
			if (off % 4 + size <= 4)
				CHECK_EQ(cfg_port_r(&fx, SLOT, off, size), want);
		}
	}
	CHECK_EQ(cfg_r(&fx, SLOT, 0x2c, 4), 0xdef09abcU);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PIN, 1), 1);
	CHECK_EQ(cfg_r(&fx, SLOT, R_LINE, 1), 4);		/* as the machine routes it */
	CHECK_EQ(cfg_r(&fx, SLOT, 0x100, 4), 0);		/* no extended capability */
	CHECK_EQ(cfg_r(&fx, SLOT, 0xffc, 4), 0);
	/* What is read-only stays. */
	for (unsigned off = 0; off < 16; off += 4) {
		if (off == 4 || off == 12)
			continue;
		cfg_w(&fx, SLOT, off, 4, 0xffffffff);
		cfg_w(&fx, SLOT, off, 4, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(cfg_r(&fx, SLOT, i, 1), head[i]);
	CHECK_EQ(cfg_r(&fx, SLOT, 8, 4), 0x0c033007);
	teardown();
}

TEST(nobody_there)
{
	setup();
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		if (devfn == SLOT)
			continue;
		CHECK_EQ(cfg_r(&fx, devfn, 0, 4), 0xffffffff);
		CHECK_EQ(cfg_port_r(&fx, devfn, 2, 2), 0xffff);
		cfg_w(&fx, devfn, 4, 2, 0xffff);
	}
	/* Other buses, and accesses that leave the function. */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ECAM + (1 << 20) + (SLOT << 12), 4), 0xffffffff);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ECAM + (255ULL << 20), 8), UINT64_MAX);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ECAM + (SLOT << 12) + 0xffe, 4), 0xffff0000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, ECAM + (SLOT << 12) + 0xffd, 8), 0xffffffffff000000);
	fx_write(&fx, VM_SPACE_MEM, ECAM + (SLOT << 12) + 0xffe, 8, UINT64_MAX);
	CHECK_EQ(cfg_r(&fx, SLOT, 0xffc, 4), 0);
	CHECK_EQ(cfg_r(&fx, SLOT + 1, 0, 4), 0xffffffff);
	teardown();
}

TEST(address_port)
{
	setup();
	/* Reserved bits do not stay; only a whole write is one (PCI 3.2.2.3.2). */
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, 0xffffffff);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcf8, 4), 0x80fffffc);
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 1, 0);
	fx_write(&fx, VM_SPACE_IO, 0xcfa, 2, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcf8, 4), 0x80fffffc);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcf8, 2), 0xffff);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcfc, 4), 0xffffffff);	/* another bus */
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, SLOT << 8);		/* not enabled */
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcfc, 4), 0xffffffff);
	fx_write(&fx, VM_SPACE_IO, 0xcfc, 4, 0);
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, 0x80000000U | SLOT << 8);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcfc, 4), 0x56781234);
	/* What is beyond the data port is not the next register. */
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcfe, 4), 0xffff5678);
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, 0x80000000U | SLOT << 8 | 0x38);
	fx_write(&fx, VM_SPACE_IO, 0xcff, 4, 0x99887766);
	CHECK_EQ(cfg_r(&fx, SLOT, R_LINE, 1), 4);
	CHECK_EQ(pci_host_address(host), 0x80000000U | SLOT << 8 | 0x38);
	pci_host_set_address(host, UINT32_MAX);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcf8, 4), 0x80fffffc);
	teardown();
}

TEST(writable_bits_only)
{
	setup();
	cfg_w(&fx, SLOT, R_COMMAND, 2, 0xffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0x0547);
	CHECK_EQ(t->command, 0x547);
	cfg_w(&fx, SLOT, R_COMMAND, 4, 0xffff0000);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 4), 0x00100000);
	cfg_port_w(&fx, SLOT, R_COMMAND + 1, 1, 0x04);
	CHECK_EQ(t->command, 0x400);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0x400);
	cfg_w(&fx, SLOT, 0x0c, 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0c, 4), 0xff);		/* cache line size */
	cfg_port_w(&fx, SLOT, R_LINE, 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_LINE, 4), 0x01ff);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x30, 4), 0);			/* no ROM */
	cfg_w(&fx, SLOT, 0x30, 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x30, 4), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(5), 4), 0);		/* no such BAR */
	cfg_w(&fx, SLOT, R_BAR(5), 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(5), 4), 0);
	/* The device's own. */
	CHECK_EQ(cfg_cap(&fx, SLOT, 0x09, 0), t->cap);
	CHECK_EQ(cfg_cap(&fx, SLOT, 0x09, t->cap), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 4, 4), 0x44332211);
	t->cap_writes = 0;
	cfg_w(&fx, SLOT, t->cap + 4, 4, 0xaabbccdd);
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 4, 4), 0xaa33cc11);
	CHECK_EQ(t->cap_writes, 1);
	/* An access that is not aligned comes in aligned pieces. */
	fx_write(&fx, VM_SPACE_MEM, ECAM + (SLOT << 12) + t->cap + 5, 4, 0x01020304);
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 4, 4), 0x02330411);
	CHECK_EQ(t->cap_writes, 4);
	CHECK_EQ(t->cap_off, t->cap + 8);
	CHECK_EQ(t->cap_size, 1);
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 8, 4), 0x5a5a5a5a);	/* computed */
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 9, 1), 0x5a);
	teardown();
}

TEST(bar_sizing)
{
	setup();
	cfg_w(&fx, SLOT, R_COMMAND, 2, 0);
	for (unsigned n = 0; n < 4; n++)
		cfg_w(&fx, SLOT, R_BAR(n), 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(0), 4), 0xfffff000);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(1), 4), 0xffffffc1);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(2), 4), 0xffff000c);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(3), 4), 0xffffffff);
	/* By bytes and halves too. */
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0);
	cfg_w(&fx, SLOT, R_BAR(0) + 1, 1, 0xff);
	cfg_port_w(&fx, SLOT, R_BAR(0) + 2, 2, 0xd123);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(0), 4), 0xd123f000);
	teardown();
}

static bool
there(enum vm_space space, uint64_t addr)
{
	uint64_t val = 0;

	return (vm_access(fx.vmm.vm, space, addr, 4, false, &val) == 0);
}

TEST(bars_decode_and_move)
{
	uint64_t mem, io, mem64;

	setup();
	mem = cfg_bar(&fx, SLOT, 0);
	io = cfg_bar(&fx, SLOT, 1);
	mem64 = cfg_bar(&fx, SLOT, 2);
	/* The machine's windows, largest first. */
	CHECK_EQ(io, IO_BASE);
	CHECK_EQ(mem64, MEM64_BASE);
	CHECK(mem >= MEM32_BASE && mem < MEM32_BASE + 0x2000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mem + 0xffc, 4), 0xffc);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, io + 0x3f, 1), 0x3f);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mem64 + 0xfff8, 8), 0x2000fff8);
	CHECK(!there(VM_SPACE_MEM, mem64 + 0x10000));
	CHECK(!there(VM_SPACE_IO, io + 0x40));
	fx_write(&fx, VM_SPACE_MEM, mem64, 8, 0x1122334455667788);
	CHECK_EQ(t->last[2], 0x1122334455667788);
	/* Moved while it decodes, and told. */
	t->bar[0].moves = 0;
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xcabcd000);
	CHECK(!there(VM_SPACE_MEM, mem));
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xcabcd010, 4), 0x10);
	CHECK_EQ(t->bar[0].moves, 1);
	CHECK_EQ(t->bar[0].addr, 0xcabcd000);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xcabcd123);	/* the same */
	CHECK_EQ(t->bar[0].moves, 1);
	cfg_w(&fx, SLOT, R_BAR(3), 4, 9);
	CHECK_EQ(t->bar[2].addr, 0x900000000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x900000004, 4), 0x20000004);
	cfg_w(&fx, SLOT, R_BAR(1), 4, 0xe001);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xe03c, 4), 0x1000003c);
	/* Each kind has its switch. */
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(!there(VM_SPACE_IO, 0xe000) && there(VM_SPACE_MEM, 0xcabcd000) && there(VM_SPACE_MEM, 0x900000000));
	CHECK(!t->bar[1].mapped);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_IO);
	CHECK(there(VM_SPACE_IO, 0xe000) && !there(VM_SPACE_MEM, 0xcabcd000) && !there(VM_SPACE_MEM, 0x900000000));
	CHECK(!t->bar[0].mapped && !t->bar[2].mapped && t->bar[1].mapped);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(0), 4), 0xcabcd000);
	teardown();
}

TEST(bars_in_impossible_places)
{
	static const uint32_t places[] = { 0, 0x1000, 0xb0003000, 0xfee00000, 0xfffff000, 0xffffffff };

	setup();
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		cfg_w(&fx, SLOT, R_BAR(0), 4, places[i]);
		cfg_w(&fx, SLOT, R_BAR(2), 4, places[i]);
		cfg_w(&fx, SLOT, R_BAR(3), 4, places[i]);
		cfg_w(&fx, SLOT, R_BAR(1), 4, places[i]);
		CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x56781234);	/* configuration space stays above it */
		CHECK_EQ(cfg_port_r(&fx, SLOT, 0, 4), 0x56781234);
	}
	cfg_w(&fx, SLOT, R_BAR(1), 4, 0xcf8);			/* ports too */
	CHECK_EQ(cfg_port_r(&fx, SLOT, 0, 4), 0x56781234);
	cfg_w(&fx, SLOT, R_BAR(1), 4, 0x10000);			/* beyond the last port */
	CHECK(!t->bar[1].mapped);
	CHECK_EQ(vm_gpa_write(fx.vmm.vm, 0x1000, "ram!", 4), 0);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0x1000);			/* under RAM */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x1000, 4), 0x216d6172);
	/* And back. */
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc0000000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc0000004, 4), 4);
	teardown();
}

/* Two functions change places, and what is on the way of one is not lost to it for ever. */
TEST(bars_that_overlap)
{
	unsigned other = PCI_DEVFN(5, 0);
	struct device *dev;
	struct tpci *u;
	unsigned moves;

	setup();
	dev = px_make(&fx, host, "test-pci", "u", other, NULL);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	u = dev->soft;
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	cfg_w(&fx, other, R_COMMAND, 2, PCI_CMD_MEM);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc1000000);
	cfg_w(&fx, other, R_BAR(0), 4, 0xc2000000);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc2000000);		/* both in one place */
	CHECK(t->bar[0].mapped && u->bar[0].mapped);
	fx_write(&fx, VM_SPACE_MEM, 0xc2000000, 4, 1);		/* one of them gets it */
	CHECK_EQ(t->last[0] + u->last[0], 1);
	moves = t->bar[0].moves;
	cfg_w(&fx, other, R_BAR(0), 4, 0xc1000000);
	CHECK_EQ(t->bar[0].moves, moves + 1);			/* it has the place to itself, and can have its doorbells now */
	CHECK(t->bar[0].mapped);
	CHECK_EQ(t->bar[0].addr, 0xc2000000);
	cfg_w(&fx, other, R_BAR(0), 4, 0xc1800000);		/* nothing to it */
	cfg_w(&fx, other, R_BAR(0), 4, 0xc1000000);
	CHECK_EQ(t->bar[0].moves, moves + 1);
	t->last[0] = u->last[0] = 0;
	fx_write(&fx, VM_SPACE_MEM, 0xc2000000, 4, 2);
	fx_write(&fx, VM_SPACE_MEM, 0xc1000000, 4, 3);
	CHECK_EQ(t->last[0], 2);
	CHECK_EQ(u->last[0], 3);
	/* BARs of one function, and parts of one another. */
	cfg_w(&fx, SLOT, R_BAR(2), 4, 0xc2000000);
	cfg_w(&fx, SLOT, R_BAR(3), 4, 0);
	CHECK(t->bar[0].mapped && t->bar[2].mapped);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc2001000, 4), 0x20001000);
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xc3000000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc2000000, 4), 0x20000000);
	teardown();
}

TEST(slots)
{
	unsigned dev3fn1 = PCI_DEVFN(3, 1);
	struct device *dev;

	setup();
	CHECK(px_make(&fx, host, "test-pci", "u", SLOT, NULL) == NULL);
	CHECK_STR(vmm_errmsg(), "u: PCI slot 3.0 is taken by t");
	CHECK(px_make(&fx, NULL, "test-pci", "w", SLOT, NULL) == NULL);
	CHECK_STR(vmm_errmsg(), "w: there is no PCI bus to put it on");
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0e, 1), 0);
	dev = px_make(&fx, host, "test-pci", "v", dev3fn1, NULL);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0e, 1), 0x80);		/* several functions, says the first */
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0c, 4), 0x00800000);
	CHECK_EQ(cfg_r(&fx, dev3fn1, 0x0e, 1), 0);
	CHECK(pci_host_fn(host, (uint8_t)dev3fn1) == dev->soft);
	device_destroy(dev);
	CHECK(pci_host_fn(host, (uint8_t)dev3fn1) == NULL);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0e, 1), 0);
	CHECK_EQ(cfg_r(&fx, dev3fn1, 0, 4), 0xffffffff);
	teardown();
}

TEST(assignment_runs_out)
{
	const struct pci_host_spec spec = {
		.ecam = 0, .ports = false, .io_base = 0x6000, .io_limit = 0x6080, .mem32_base = 0xc0000800,
		.mem32_limit = 0xc0004000, .mem64_base = 0, .mem64_limit = 0,
	};

	setup();
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	host = pci_host_new(&fx.vmm, &spec);
	CHECKF(host != NULL, "%s", vmm_errmsg());
	CHECK_EQ(pci_host_ecam(host), 0);
	CHECK(px_make(&fx, host, "test-pci", "t", SLOT, NULL) != NULL);
	/* Without a window above 4 GiB the wide BAR has to be below, where there is no room for it. */
	CHECK_EQ(pci_host_assign(host), -1);
	CHECK_STR(vmm_errmsg(), "t: no room for 0x10000 bytes of memory below 4 GiB; the machine has too many devices");
	teardown();
}

TEST(windows_that_are_taken)
{
	const struct pci_host_spec spec = { .ecam = ECAM + 0x100000 }, ports = { .ports = true };

	setup();
	CHECK(pci_host_new(&fx.vmm, &spec) == NULL);
	CHECK_HAS(vmm_errmsg(), "pci: range 'pci-config'");
	CHECK(pci_host_new(&fx.vmm, &ports) == NULL);
	CHECK_HAS(vmm_errmsg(), "pci: range 'pci-ports'");
	CHECK_EQ(pci_host_set_ecam(host, 0xe0000000), 0);
	CHECK(!there(VM_SPACE_MEM, ECAM));
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xe0000000 + (SLOT << 12), 4), 0x56781234);
	CHECK_EQ(pci_host_set_ecam_buses(host, 0xd0000000, 64), 0);
	CHECK(there(VM_SPACE_MEM, 0xd3fffffc) && !there(VM_SPACE_MEM, 0xd4000000));
	CHECK_EQ(pci_host_set_ecam(host, 0), 0);
	CHECK(!there(VM_SPACE_MEM, 0xd0000000));
	teardown();
}

/* Message vectors */

TEST(msix_table)
{
	setup();
	for (unsigned v = 0; v < NVEC; v++) {
		for (unsigned i = 0; i < 12; i += 4)
			CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16 * v + i, 4), 0);
		CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16 * v + 12, 4), 1);	/* masked */
	}
	for (unsigned i = 0; i < 16; i += 4)
		fx_write(&fx, VM_SPACE_MEM, mx.table + 16 + i, 4, 0xffffffff);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16, 8), 0xfffffffffffffffcULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 24, 8), 0x1ffffffff);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 32, 8, 0x00000001fee00000);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 40, 8, 0xfffffffe00004041);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 36, 4), 1);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 40, 8), 0x4041);
	/* Neighbours are untouched; behind the table there is nothing; pending bits are read-only. */
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 48, 8), 0);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 16 * NVEC, 8, UINT64_MAX);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16 * NVEC, 8), 0);
	fx_write(&fx, VM_SPACE_MEM, mx.pba, 8, UINT64_MAX);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.pba, 8), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.pba + 0x7f8, 8), 0);
	/* Other widths are not defined. */
	fx_write(&fx, VM_SPACE_MEM, mx.table + 16, 2, 0);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 18, 4, 0);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 20, 8, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16, 8), 0xfffffffffffffffcULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 24, 8), 0x1ffffffff);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.table + 16, 1), 0xff);
	CHECK_HAS(fx.log, "of its message table");
	teardown();
}

TEST(msix_control)
{
	setup();
	CHECK(!pci_msix_on(&t->fn));
	cfg_w(&fx, SLOT, mx.cap, 4, 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, mx.cap, 1), CAP_ID_MSIX);
	CHECK_EQ(cfg_r(&fx, SLOT, mx.cap + 2, 2), MSIX_ON | MSIX_MASKED | (NVEC - 1));
	CHECK(pci_msix_on(&t->fn));
	cfg_w(&fx, SLOT, mx.cap + 3, 1, 0);
	CHECK(!pci_msix_on(&t->fn));
	cfg_w(&fx, SLOT, mx.cap + 4, 4, 0);			/* table and pending bits stay where they are */
	CHECK_EQ(cfg_r(&fx, SLOT, mx.cap + 4, 4) & 7, 4);
	teardown();
}

/* What is raised arrives once, when and only when nothing masks it. */
TEST(msix_messages)
{
	struct px_cpu c;

	setup();
	px_start(&c, &fx);
	CHECK_EQ(px_next(&c), 0);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	msix_set(&mx, 0, MSI_DATA(0x41));
	msix_set(&mx, 39, MSI_DATA(0x42));
	pci_msix_raise(&t->fn, 0);				/* not switched on: nothing */
	CHECK(!msix_pending(&mx, 0));
	msix_control(&mx, MSIX_ON);
	CHECK_EQ(px_next(&c), 0);
	pci_msix_raise(&t->fn, 0);
	CHECK_EQ(px_next(&c), 0x41);
	CHECK_EQ(px_next(&c), 0);
	pci_msix_raise(&t->fn, 39);
	CHECK_EQ(px_next(&c), 0x42);
	CHECK(!msix_pending(&mx, 39));
	pci_msix_raise(&t->fn, 40);				/* no such vector */
	pci_msix_raise(&t->fn, UINT32_MAX);
	CHECK_EQ(px_next(&c), 0);
	/* A vector's mask: pending, and one message however often it was raised. */
	msix_mask(&mx, 39, true);
	pci_msix_raise(&t->fn, 39);
	pci_msix_raise(&t->fn, 39);
	CHECK_EQ(px_next(&c), 0);
	CHECK(msix_pending(&mx, 39) && !msix_pending(&mx, 0));
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, mx.pba, 8), 1ULL << 39);
	fx_write(&fx, VM_SPACE_MEM, mx.table + 16 * 39 + 8, 4, MSI_DATA(0x43));	/* as it is when it is sent */
	msix_mask(&mx, 39, false);
	CHECK_EQ(px_next(&c), 0x43);
	CHECK_EQ(px_next(&c), 0);
	CHECK(!msix_pending(&mx, 39));
	/* The function's mask. */
	msix_control(&mx, MSIX_ON | MSIX_MASKED);
	pci_msix_raise(&t->fn, 0);
	CHECK_EQ(px_next(&c), 0);
	CHECK(msix_pending(&mx, 0));
	msix_control(&mx, MSIX_ON);
	CHECK_EQ(px_next(&c), 0x41);
	/* The command register's leave to write to memory. */
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	pci_msix_raise(&t->fn, 0);
	CHECK_EQ(px_next(&c), 0);
	CHECK(msix_pending(&mx, 0));
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	CHECK_EQ(px_next(&c), 0x41);
	/* A message that is for no interrupt controller says so, and nothing else. */
	fx_write(&fx, VM_SPACE_MEM, mx.table, 4, 0x12340000);
	pci_msix_raise(&t->fn, 0);
	CHECK_HAS(fx.log, "message vector 0: ");
	CHECK_EQ(px_next(&c), 0);
	teardown();
}

/* What is pending goes with the state, and is sent where it arrives. */
TEST(msix_state)
{
	static struct fx to;
	struct pci_host *host2;
	struct px_msix mx2;
	struct px_cpu c;

	setup();
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	msix_set(&mx, 1, MSI_DATA(0x44));
	msix_set(&mx, 2, MSI_DATA(0x45));
	msix_control(&mx, MSIX_ON | MSIX_MASKED);
	pci_msix_raise(&t->fn, 1);
	devices_pause(&fx.vmm);
	fx_open(&to);
	host2 = px_host(&to);
	CHECK(px_make(&to, host2, "test-pci", "t", SLOT, to.irq) != NULL);
	fx_move(&fx, &to);
	px_start(&c, &to);
	devices_resume(&to.vmm);
	mx2 = px_msix(&to, SLOT);
	CHECK_EQ(mx2.table, mx.table);
	CHECK(msix_pending(&mx2, 1) && !msix_pending(&mx2, 2));
	CHECK_EQ(px_next(&c), 0);
	msix_control(&mx2, MSIX_ON);
	CHECK_EQ(px_next(&c), 0x44);
	CHECK_EQ(px_next(&c), 0);
	/* A pause and a reset on the way do not send twice. */
	devices_pause(&to.vmm);
	devices_resume(&to.vmm);
	CHECK_EQ(px_next(&c), 0);
	msix_control(&mx2, MSIX_ON | MSIX_MASKED);
	pci_msix_raise(pci_host_fn(host2, SLOT), 2);
	fx_reset(&to);
	CHECK_EQ(pci_host_assign(host2), 0);
	mx2 = px_msix(&to, SLOT);
	CHECK(!msix_pending(&mx2, 2));
	CHECK_EQ(cfg_r(&to, SLOT, mx2.cap + 2, 2), NVEC - 1);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, mx2.table + 32 + 12, 4), 1);
	devices_destroy(&to.vmm);
	pci_host_free(host2);
	fx_close(&to);
	teardown();
}

/* The pin */

TEST(pin)
{
	setup();
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 0);
	pci_intx(&t->fn, true);
	CHECK(fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 8);
	/* INTX_OFF keeps it from the pin; the status stays (PCI 6.2.3). */
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_INTX_OFF);
	CHECK(!fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 8);
	cfg_w(&fx, SLOT, R_STATUS, 1, 0xff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 8);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(fx_level(&fx));
	/* Nor while message vectors are used (6.8.3.3). */
	msix_control(&mx, MSIX_ON | MSIX_MASKED);
	CHECK(!fx_level(&fx));
	pci_intx(&t->fn, false);
	pci_intx(&t->fn, true);
	CHECK(!fx_level(&fx));
	msix_control(&mx, 0);
	CHECK(fx_level(&fx));
	pci_intx(&t->fn, false);
	CHECK(!fx_level(&fx));
	CHECK_EQ(cfg_r(&fx, SLOT, R_STATUS, 1) & 8, 0);
	/* Reset and the end lower it. */
	pci_intx(&t->fn, true);
	fx_reset(&fx);
	CHECK(!fx_level(&fx));
	pci_intx(&t->fn, true);
	devices_destroy(&fx.vmm);
	CHECK(!fx_level(&fx));
	teardown();
}

/* Life and state */

TEST(reset)
{
	setup();
	cfg_w(&fx, SLOT, R_LINE, 1, 0x77);
	cfg_w(&fx, SLOT, t->cap + 4, 4, 0);
	t->bar[0].moves = 0;
	devices_pause(&fx.vmm);
	devices_reset(&fx.vmm);
	CHECK_EQ(t->bar[0].moves, 1);
	CHECK(!t->bar[0].mapped && !t->bar[1].mapped && !t->bar[2].mapped);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(0), 4), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(2), 4), 0xc);
	CHECK_EQ(cfg_r(&fx, SLOT, R_LINE, 1), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, t->cap + 4, 4), 0x44332211);
	CHECK(!there(VM_SPACE_MEM, MEM64_BASE));
	devices_resume(&fx.vmm);
	CHECK_EQ(pci_host_assign(host), 0);
	CHECK(t->bar[0].mapped && t->bar[1].mapped && t->bar[2].mapped);
	teardown();
}

TEST(state)
{
	static struct fx to;
	struct pci_host *host2;
	struct device *dev;
	struct tpci *u;

	setup();
	cfg_w(&fx, SLOT, R_BAR(0), 4, 0xcabcd000);
	cfg_w(&fx, SLOT, t->cap + 4, 4, 0);
	pci_intx(&t->fn, true);
	devices_pause(&fx.vmm);
	fx_open(&to);
	host2 = px_host(&to);
	dev = px_make(&to, host2, "test-pci", "t", SLOT, to.irq);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	u = dev->soft;
	fx_move(&fx, &to);
	CHECK(!fx_level(&to));
	devices_resume(&to.vmm);
	CHECK(fx_level(&to));
	CHECK(u->bar[0].mapped && u->bar[0].addr == 0xcabcd000);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, 0xcabcd008, 4), 8);
	CHECK_EQ(cfg_r(&to, SLOT, u->cap + 4, 4), 0x00330011);
	CHECK_EQ(cfg_r(&to, SLOT, R_LINE, 1), 4);
	devices_destroy(&to.vmm);
	pci_host_free(host2);
	fx_close(&to);
	teardown();
}

/* Save, and load with something changed: refused, with what was there before still there. */
static void
refused(const char *why)
{
	static struct fx to;
	struct pci_host *host2;

	fx_open(&to);
	host2 = px_host(&to);
	CHECK(px_make(&to, host2, "test-pci", "t", SLOT, to.irq) != NULL);
	fx_refused(&fx, &to, why);
	devices_resume(&to.vmm);
	CHECK_EQ(cfg_r(&to, SLOT, 0, 4), 0x56781234);
	devices_destroy(&to.vmm);
	pci_host_free(host2);
	fx_close(&to);
}

TEST(state_of_another_device)
{
	static const unsigned offs[] = { 0, 1, 6, 8, 0x0e, 0x10, 0x18, 0x34, 0x3d, 0x40, 0x44, 0x53, 0x100, 0xfff };
	uint8_t was;

	setup();
	devices_pause(&fx.vmm);
	for (unsigned i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		was = t->fn.cfg[offs[i]];
		t->fn.cfg[offs[i]] ^= 1;
		refused("of its PCI configuration is that of another device");
		t->fn.cfg[offs[i]] = was;
	}
	t->fn.msix[3].control = 2;
	refused("message vector with address 0 and control 0x2");
	t->fn.msix[3].control = 1;
	t->fn.msix[3].addr = 1;
	refused("message vector");
	t->fn.msix[3].addr = 0;
	t->fn.msix[3].pending = 2;
	refused("message vector");
	t->fn.msix[3].pending = 0;
	devices_resume(&fx.vmm);
	teardown();
}

/* Any state that a guest could have made is one that it can be in. */
TEST(state_of_any_guest)
{
	setup();
	devices_pause(&fx.vmm);
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned off = 0; off < PCI_CFG_LEN; off++) {
			uint8_t m = t->fn.wmask[off];

			t->fn.cfg[off] = (uint8_t)((t->fn.cfg[off] & ~m) | ((i * 37 + off * 11) & m));
		}
		for (unsigned v = 0; v < NVEC; v++) {
			t->fn.msix[v].addr = (uint64_t)(i * v) << 20;
			t->fn.msix[v].control = (i ^ v) & 1;
			t->fn.msix[v].pending = (i + v) % 3 == 0;
		}
		t->fn.intx = i & 1;
		fx_move(&fx, &fx);
		devices_resume(&fx.vmm);
		CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x56781234);
		devices_pause(&fx.vmm);
	}
	devices_resume(&fx.vmm);
	teardown();
}

TEST(what_cannot_be_added)
{
	setup();
	CHECK_EQ(pci_add_bar(&t->fn, 0, PCI_BAR_MEM32, 0x1000, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_bar(&t->fn, 3, PCI_BAR_MEM32, 0x1000, &bar_ops, NULL), -1);	/* upper half of BAR 2 */
	CHECK_EQ(pci_add_bar(&t->fn, 5, PCI_BAR_MEM64, 0x1000, &bar_ops, NULL), -1);
	CHECK_STR(vmm_errmsg(), "t: BAR 5 of 0x1000 bytes cannot be");
	CHECK_EQ(pci_add_bar(&t->fn, 6, PCI_BAR_MEM32, 0x1000, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_bar(&t->fn, 5, PCI_BAR_MEM32, 0x1001, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_bar(&t->fn, 5, PCI_BAR_MEM32, 8, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_bar(&t->fn, 5, PCI_BAR_IO, 512, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_bar(&t->fn, 5, PCI_BAR_MEM32, 1ULL << 32, &bar_ops, NULL), -1);
	CHECK_EQ(pci_add_msix(&t->fn, 1, 5), -1);		/* it has some */
	CHECK_EQ(pci_add_cap(&t->fn, 5, 0x80), 0x58);
	CHECK_EQ(pci_add_cap(&t->fn, 5, 0x80), 0);		/* no room */
	CHECK_EQ(pci_add_cap(&t->fn, 5, 40), 0xd8);
	CHECK_EQ(pci_add_cap(&t->fn, 5, 2), 0);
	teardown();
}

/* Threads */

static void *
hammer(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg, val, at;

	for (int i = 0; i < 20000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		val = x >> 24;
		switch ((x >> 58) & 7) {
		case 0:				/* BARs move, decoding comes and goes */
			at = ECAM + (SLOT << 12) + 4 + 4 * ((x >> 20) & 7);
			break;
		case 1:
			at = ECAM + (SLOT << 12) + ((x >> 20) & 0xff);
			break;
		case 2:
			at = mx.table + ((x >> 20) & 0xfff);
			break;
		case 3:				/* where a BAR may have gone */
			at = MEM32_BASE + ((x >> 20) & 0x1fff);
			break;
		case 4:
			pci_msix_raise(&t->fn, (unsigned)(x >> 20) % NVEC);
			continue;
		case 5:
			pci_intx(&t->fn, (x >> 20) & 1);
			continue;
		case 6:
			(void)vm_access(fx.vmm.vm, VM_SPACE_IO, 0xcf8 + ((x >> 20) & 7), 1U << ((x >> 30) % 3), x & 1, &val);
			continue;
		default:
			val = 0x06 | MEM32_BASE;
			at = ECAM + (SLOT << 12) + ((x & 1) != 0 ? R_COMMAND : R_BAR((x >> 1) & 4));
			(void)vm_access(fx.vmm.vm, VM_SPACE_MEM, at, 4, true, &val);
			continue;
		}
		(void)vm_access(fx.vmm.vm, VM_SPACE_MEM, at, 1U << ((x >> 40) & 3), (x >> 50) & 1, &val);
	}
	return (NULL);
}

/* Several vCPUs may do anything at once. */
TEST(any_access_from_any_thread)
{
	pthread_t th[FX_THREADS];

	setup();
	fx_hammer_start(th, hammer);
	fx_hammer_join(th);
	/* It is whole: what it was before, after a reset. */
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_reset(&fx.vmm);
	devices_resume(&fx.vmm);
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x56781234);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0);
	pci_intx(&t->fn, false);
	CHECK(!fx_level(&fx));
	CHECK_EQ(pci_host_assign(host), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, cfg_bar(&fx, SLOT, 0) + 4, 4), 4);
	teardown();
}

/* A function goes while others access its registers and BARs. */
TEST(removal_under_access)
{
	pthread_t th[FX_THREADS];
	struct device *dev;

	setup();
	fx_hammer_start(th, hammer);
	for (unsigned i = 0; i < 200; i++) {
		unsigned devfn = PCI_DEVFN(9, i % 8);

		dev = px_make(&fx, host, "test-pci", "u", devfn, NULL);
		CHECKF(dev != NULL, "%s", vmm_errmsg());
		cfg_w(&fx, devfn, R_BAR(0), 4, MEM32_BASE);
		cfg_w(&fx, devfn, R_COMMAND, 2, PCI_CMD_MEM);
		device_destroy(dev);
		CHECK_EQ(cfg_r(&fx, devfn, 0, 4), 0xffffffff);
	}
	fx_hammer_join(th);
	teardown();
}

TEST_MAIN()
