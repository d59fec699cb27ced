/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * q35.c - the chipset functions of a PC, as firmware finds and sets them up.
 */
#include "pci/q35.h"
#include "pci_fixture.h"

#define	HOST	Q35_HOST_DEVFN
#define	LPC	Q35_LPC_DEVFN
#define	PMBASE	0x600

static struct fx fx;
static struct pci_host *host;

/* ecam 0: as firmware finds it. */
static void
setup(struct fx *f, struct pci_host **h, uint64_t ecam)
{
	const struct pci_host_spec spec = { .ecam = ecam, .ports = true };
	struct device_place place = { .on = DEVICE_ON_PCI, .devfn = LPC, .base = PMBASE };

	fx_open(f);
	*h = pci_host_new(&f->vmm, &spec);
	CHECKF(*h != NULL, "%s", vmm_errmsg());
	CHECKF(px_make(f, *h, "q35-host", "host", HOST, NULL) != NULL, "%s", vmm_errmsg());
	place.pci = *h;
	(void)fx_make(f, "ich9-lpc", "lpc", &place);
	devices_resume(&f->vmm);
}

static void
teardown(struct fx *f, struct pci_host *h)
{
	devices_destroy(&f->vmm);
	pci_host_free(h);
	fx_close(f);
}

static bool
there(uint64_t addr)
{
	uint64_t val = 0;

	return (vm_access(fx.vmm.vm, VM_SPACE_MEM, addr, 4, false, &val) == 0);
}

TEST(identities)
{
	setup(&fx, &host, 0);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0, 4), 0x29c08086);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x0a, 2), 0x0600);		/* host bridge */
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x2c, 4), 0x11001af4);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0, 4), 0x29188086);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x0a, 2), 0x0601);			/* ISA bridge */
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x2c, 4), 0x11001af4);
	for (unsigned off = 0x10; off < 0x28; off += 4) {
		cfg_port_w(&fx, HOST, off, 4, 0xffffffff);
		cfg_port_w(&fx, LPC, off, 4, 0xffffffff);
		CHECK_EQ(cfg_port_r(&fx, HOST, off, 4) | cfg_port_r(&fx, LPC, off, 4), 0);
	}
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x3d, 1) | cfg_port_r(&fx, LPC, 0x3d, 1), 0);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x34, 1), 0);
	teardown(&fx, host);
}

/* What OVMF and SeaBIOS write. */
TEST(firmware_opens_the_window)
{
	setup(&fx, &host, 0);
	CHECK_EQ(pci_host_ecam(host), 0);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x60, 4), 0);
	cfg_port_w(&fx, HOST, 0x60, 4, 0);
	cfg_port_w(&fx, HOST, 0x64, 4, 0);
	CHECK(!there(0xb0000000));
	cfg_port_w(&fx, HOST, 0x60, 4, 0xb0000001);
	CHECK_EQ(pci_host_ecam(host), 0xb0000000);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xb0000000, 4), 0x29c08086);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xb0000000 + (LPC << 12), 2), 0x8086);
	CHECK(there(0xbffffffc) && !there(0xc0000000));
	/* By the window itself it moves too, above 4 GiB. */
	fx_write(&fx, VM_SPACE_MEM, 0xb0000064, 4, 8);
	CHECK(!there(0xb0000000));
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x8b0000000, 4), 0x29c08086);
	fx_write(&fx, VM_SPACE_MEM, 0x8b0000060, 8, 0x1c0000001);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x1c0000000, 4), 0x29c08086);
	cfg_port_w(&fx, HOST, 0x60, 1, 0);				/* off */
	CHECK(!there(0x1c0000000));
	CHECK_EQ(pci_host_ecam(host), 0);
	teardown(&fx, host);
}

TEST(windows_of_fewer_buses)
{
	setup(&fx, &host, 0);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xb8000003);			/* 128 */
	CHECK(there(0xb8000000) && there(0xbffffffc) && !there(0xc0000000));
	cfg_port_w(&fx, HOST, 0x60, 4, 0xbc000005);			/* 64 */
	CHECK(there(0xbc000000) && there(0xbffffffc) && !there(0xc0000000) && !there(0xb8000000));
	cfg_port_w(&fx, HOST, 0x60, 4, 0xbc000001);			/* 256: the lower bits are none of its address */
	CHECK(there(0xb0000000) && there(0xbffffffc) && !there(0xc0000000));
	cfg_port_w(&fx, HOST, 0x60, 4, 0xb0000007);			/* reserved */
	CHECK(!there(0xb0000000));
	/* Bits that are no bits of it do not stay. */
	cfg_port_w(&fx, HOST, 0x64, 4, 0xffffffff);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xfffffffe);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x60, 4), 0xfc000006);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x64, 4), 0xf);
	teardown(&fx, host);
}

/* Over RAM, or over another device, it is the guest's mistake and nobody else's. */
TEST(windows_in_the_way)
{
	const struct vm_range_spec spec = { .name = "other", .base = 0xe0000000, .len = 4096 };
	struct vm_range *range;

	setup(&fx, &host, 0);
	range = vm_range_add(fx.vmm.vm, &spec);
	CHECK(range != NULL);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xe0000001);
	CHECK_EQ(pci_host_ecam(host), 0);
	CHECK_HAS(fx.log, "overlaps range 'other'");
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x60, 4), 0xe0000001);
	CHECK_EQ(vm_gpa_write(fx.vmm.vm, 0, "RAM!", 4), 0);
	cfg_port_w(&fx, HOST, 0x60, 4, 1);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0, 4), 0x214d4152);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xb0000001);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xb0000000, 4), 0x29c08086);
	vm_range_remove(range);
	teardown(&fx, host);
}

/* Without firmware the machine has opened it. */
TEST(window_of_direct_boot)
{
	setup(&fx, &host, ECAM);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x60, 4), ECAM + 1);
	CHECK_EQ(cfg_r(&fx, HOST, 0, 4), 0x29c08086);
	CHECK_EQ(pci_host_assign(host), 0);
	CHECK_EQ(cfg_r(&fx, HOST, 0x60, 4), ECAM + 1);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xc0000001);
	CHECK(!there(ECAM) && there(0xc0000000));
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, 0x80001234);
	fx_reset(&fx);
	CHECK(there(ECAM) && !there(0xc0000000));
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcf8, 4), 0);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x60, 4), ECAM + 1);
	teardown(&fx, host);
}

TEST(memory_registers_are_data)
{
	setup(&fx, &host, 0);
	for (unsigned off = 0x90; off < 0x97; off++)
		CHECK_EQ(cfg_port_r(&fx, HOST, off, 1), 0);
	cfg_port_w(&fx, HOST, 0x90, 1, 0xff);				/* PAM0: the upper half only */
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x90, 1), 0x30);
	cfg_port_w(&fx, HOST, 0x91, 1, 0xff);
	cfg_port_w(&fx, HOST, 0x94, 2, 0x1110);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x90, 4), 0x3330);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x94, 4) & 0xffffff, 0x001110);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x9d, 1), 0x02);			/* SMRAM, as SeaBIOS writes it */
	cfg_port_w(&fx, HOST, 0x9d, 1, 0x4a);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x9d, 1), 0x4a);
	cfg_port_w(&fx, HOST, 0x9d, 1, 0x0a);
	CHECK_EQ(cfg_port_r(&fx, HOST, 0x9d, 1), 0x0a);
	teardown(&fx, host);
}

/* What firmware does with the LPC bridge. */
/* How guest-physical memory can be accessed. */
static int
prot_at(uint64_t gpa)
{
	vm_paddr_t at = 0;
	vm_ooffset_t off;
	int prot, id, flags;
	size_t len;

	while (vm_mmap_getnext(fx.vmm.vm, &at, &id, &off, &len, &prot, &flags) == 0) {
		if (gpa - at < len)
			return (prot);
		at += len;
	}
	return (-1);
}

/* What SeaBIOS does with its area: opens all of it, and closes it again but for what its stacks and tables are in. */
TEST(bios_area)
{
	const struct pci_host_spec spec = { .ports = true };
	struct device_place place = { .on = DEVICE_ON_PCI, .devfn = HOST, .base = 1 };
	const int closed = VM_PROT_READ | VM_PROT_EXEC;

	fx_open(&fx);
	host = pci_host_new(&fx.vmm, &spec);
	place.pci = host;
	(void)fx_make(&fx, "q35-host", "host", &place);
	devices_resume(&fx.vmm);
	CHECK_EQ(prot_at(0xbffff), VM_PROT_ALL);
	CHECK_EQ(prot_at(0xc0000), closed);
	CHECK_EQ(prot_at(0xfffff), closed);
	CHECK_EQ(prot_at(0x100000), VM_PROT_ALL);
	cfg_port_w(&fx, HOST, 0x90, 4, 0x33333330);
	cfg_port_w(&fx, HOST, 0x94, 4, 0x333333);
	for (uint64_t gpa = 0xc0000; gpa < 0x100000; gpa += 0x4000)
		CHECK_EQ(prot_at(gpa), VM_PROT_ALL);
	/* An odd place of one nibble: the upper half of PAM5 is 0xe4000 on. */
	cfg_port_w(&fx, HOST, 0x95, 1, 0x13);
	CHECK_EQ(prot_at(0xe0000), VM_PROT_ALL);
	CHECK_EQ(prot_at(0xe4000), closed);
	CHECK_EQ(prot_at(0xe8000), VM_PROT_ALL);
	cfg_port_w(&fx, HOST, 0x90, 1, 0x10);
	CHECK_EQ(prot_at(0xeffff), VM_PROT_ALL);
	CHECK_EQ(prot_at(0xf0000), closed);
	cfg_port_w(&fx, HOST, 0x90, 1, 0x20);				/* written to RAM, read from ROM: a copy is both */
	CHECK_EQ(prot_at(0xf0000), VM_PROT_ALL);
	fx_reset(&fx);
	CHECK_EQ(prot_at(0xf0000), closed);
	teardown(&fx, host);
}

TEST(lpc)
{
	static const uint8_t route[] = { 0x0a, 0x0a, 0x0b, 0x0b };

	setup(&fx, &host, 0);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x40, 4), PMBASE | 1);		/* where the ACPI registers are */
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x44, 1), 0x80);			/* and that they are there */
	cfg_port_w(&fx, LPC, 0x40, 4, 0x601);
	cfg_port_w(&fx, LPC, 0x44, 1, 0x80);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x40, 4), PMBASE | 1);
	cfg_port_w(&fx, LPC, 0x40, 4, 0xffffffff);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x40, 4), 0xff81);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0xf0, 4), 0);
	cfg_port_w(&fx, LPC, 0xf0, 4, 0xfed1c001);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0xf0, 4), 0xfed1c001);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(cfg_port_r(&fx, LPC, 0x60 + i, 1), 0x80);
		CHECK_EQ(cfg_port_r(&fx, LPC, 0x68 + i, 1), 0x80);
		cfg_port_w(&fx, LPC, 0x60 + i, 1, route[i]);
		cfg_port_w(&fx, LPC, 0x68 + i, 1, route[i] | 0x70);
	}
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x60, 4), 0x0b0b0a0a);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x68, 4), 0x0b0b0a0a);
	cfg_port_w(&fx, LPC, 0xa0, 2, 0x10);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0xa0, 2), 0x10);
	fx_reset(&fx);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x40, 4), PMBASE | 1);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0x60, 4), 0x80808080);
	CHECK_EQ(cfg_port_r(&fx, LPC, 0xf0, 4), 0);
	teardown(&fx, host);
}

TEST(lpc_places)
{
	static const uint64_t wrong[] = { 0x601, 0x640, 0x10000, UINT64_MAX };
	const struct device_class *cls = device_class_find("ich9-lpc");
	struct device_place place = { .on = DEVICE_ON_PCI, .devfn = 0x10 };
	struct config_node *node;

	setup(&fx, &host, 0);
	node = fx_node(&fx, "other", cls);
	place.pci = host;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		place.base = wrong[i];
		CHECK(device_create(&fx.vmm, cls, "other", node, &place) == NULL);
		CHECK_HAS(vmm_errmsg(), "other: the ACPI registers cannot be at 0x");
	}
	place.base = 0;
	CHECK(device_create(&fx.vmm, cls, "other", node, &place) != NULL);
	CHECK_EQ(cfg_port_r(&fx, 0x10, 0x40, 4), 1);
	CHECK_EQ(cfg_port_r(&fx, 0x10, 0x44, 1), 0);
	teardown(&fx, host);
}

/* Routing of pins */

struct pin {
	struct pci_fn	 fn;
};

static int
pin_init(struct device *dev)
{
	static const struct pci_ident ident = { .vendor = 0x1234, .device = 1, .class_code = 0xff0000, .intx = true };

	return (pci_init(dev->soft, dev, &ident, NULL));
}

static const struct vm_state_field pin_fields[] = { PCI_STATE(struct pin) };
static const struct vm_state_table pin_state = VM_STATE_TABLE("test-pin", 1, 1, pin_fields, NULL);

DEVICE_CLASS_NOKEYS(test_pin, "test-pin", "pin of a test", &pin_state, .on = DEVICE_ON_PCI, .size = sizeof(struct pin),
    .init = pin_init, .fini = px_fini, .reset = px_reset, .pause = px_pause, .resume = px_resume);

#define	NPINS	3

/* Two slots of one PIRQ, B, and one of G. */
static const uint8_t pin_slot[NPINS] = { 1, 9, 14 };

struct routes {
	struct fx	 fx;
	struct pci_host	*host;
	struct vm_irq	*isa[Q35_ISA_LINES], *own[NPINS];
	struct pci_fn	*fn[NPINS];
};

static void
routes_open(struct routes *r)
{
	setup(&r->fx, &r->host, 0);
	devices_pause(&r->fx.vmm);
	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		if (i != 2) {
			r->isa[i] = vm_irq_open_line(r->fx.vmm.vm, i);
			CHECKF(r->isa[i] != NULL, "%s", vm_errmsg());
		}
	}
	q35_lpc_set_isa(device_lookup(&r->fx.vmm, "lpc"), r->isa);
	for (unsigned i = 0; i < NPINS; i++) {
		const char name[] = { 'p', (char)('0' + i), '\0' };
		struct device *dev;

		r->own[i] = vm_irq_open_line(r->fx.vmm.vm, 16 + pin_slot[i] % 8U);
		dev = px_make(&r->fx, r->host, "test-pin", name, PCI_DEVFN(pin_slot[i], 0), r->own[i]);
		CHECKF(dev != NULL, "%s", vmm_errmsg());
		r->fn[i] = dev->soft;
	}
	devices_resume(&r->fx.vmm);
}

static void
routes_close(struct routes *r)
{
	devices_destroy(&r->fx.vmm);
	for (unsigned i = 0; i < Q35_ISA_LINES; i++)
		vm_irq_close(r->isa[i]);
	for (unsigned i = 0; i < NPINS; i++)
		vm_irq_close(r->own[i]);
	pci_host_free(r->host);
	fx_close(&r->fx);
}

/* The inputs that are raised, a bit each. */
static unsigned
raised(struct routes *r)
{
	struct vm_irq_info info;
	unsigned bits = 0;

	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		if (r->isa[i] == NULL)
			continue;
		CHECK_EQ(vm_irq_get_info(r->isa[i], &info), 0);
		bits |= info.level ? 1U << i : 0;
	}
	return (bits);
}

TEST(routing)
{
	static struct routes r;

	routes_open(&r);
	pci_intx(r.fn[0], true);
	CHECK_EQ(raised(&r), 0);			/* nowhere, after reset */
	cfg_port_w(&r.fx, LPC, 0x61, 1, 0x0b);
	CHECK_EQ(raised(&r), 1U << 11);			/* at once, as it is raised */
	cfg_port_w(&r.fx, LPC, 0x61, 1, 0x0a);
	CHECK_EQ(raised(&r), 1U << 10);
	pci_intx(r.fn[1], true);			/* the other slot of it */
	pci_intx(r.fn[0], false);
	CHECK_EQ(raised(&r), 1U << 10);
	pci_intx(r.fn[1], false);
	CHECK_EQ(raised(&r), 0);
	/* Two on one input. */
	cfg_port_w(&r.fx, LPC, 0x6a, 1, 0x0a);
	pci_intx(r.fn[1], true);
	pci_intx(r.fn[2], true);
	pci_intx(r.fn[1], false);
	CHECK_EQ(raised(&r), 1U << 10);
	cfg_port_w(&r.fx, LPC, 0x6a, 1, 0x8a);
	CHECK_EQ(raised(&r), 0);
	/* To any that the chip can, and to no other. */
	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		cfg_port_w(&r.fx, LPC, 0x6a, 1, i);
		CHECK_EQ(raised(&r), 0xdef8U & 1U << i);
		CHECK_EQ(q35_lpc_routes_to(i), (0xdef8U >> i & 1) != 0);
	}
	CHECK(!q35_lpc_routes_to(16));
	/* The function's own bit keeps it from its pin. */
	cfg_port_w(&r.fx, LPC, 0x6a, 1, 5);
	CHECK_EQ(raised(&r), 1U << 5);
	cfg_port_w(&r.fx, PCI_DEVFN(14, 0), R_COMMAND, 2, PCI_CMD_INTX_OFF);
	CHECK_EQ(raised(&r), 0);
	cfg_port_w(&r.fx, PCI_DEVFN(14, 0), R_COMMAND, 2, 0);
	CHECK_EQ(raised(&r), 1U << 5);
	/* One that goes takes its level along. */
	devices_pause(&r.fx.vmm);
	device_destroy(device_lookup(&r.fx.vmm, "p2"));
	devices_resume(&r.fx.vmm);
	CHECK_EQ(raised(&r), 0);
	routes_close(&r);
}

TEST(routing_by_the_machine)
{
	static const uint8_t line[Q35_PIRQS] = { 10, 11, 5, 3, 4, 6, 7, 14 };
	static struct routes r;

	routes_open(&r);
	devices_pause(&r.fx.vmm);
	q35_lpc_route(device_lookup(&r.fx.vmm, "lpc"), line);
	devices_resume(&r.fx.vmm);
	for (unsigned i = 0; i < Q35_PIRQS; i++)
		CHECK_EQ(cfg_port_r(&r.fx, LPC, i < 4 ? 0x60 + i : 0x64 + i, 1), line[i]);
	CHECK_EQ(cfg_port_r(&r.fx, PCI_DEVFN(1, 0), R_LINE, 1), 11);
	CHECK_EQ(cfg_port_r(&r.fx, PCI_DEVFN(9, 0), R_LINE, 1), 11);
	CHECK_EQ(cfg_port_r(&r.fx, PCI_DEVFN(14, 0), R_LINE, 1), 7);
	CHECK_EQ(cfg_port_r(&r.fx, LPC, R_LINE, 1), 0);		/* it has no pin */
	pci_intx(r.fn[0], true);
	CHECK_EQ(raised(&r), 1U << 11);
	routes_close(&r);
}

/* Nothing is driven while paused; a reset takes all back; a snapshot has it at the other end. */
TEST(routing_pause_reset_state)
{
	static struct routes r, to;

	routes_open(&r);
	cfg_port_w(&r.fx, LPC, 0x61, 1, 0x0b);
	pci_intx(r.fn[0], true);
	CHECK_EQ(raised(&r), 1U << 11);
	devices_pause(&r.fx.vmm);
	routes_open(&to);
	devices_pause(&to.fx.vmm);
	fx_move(&r.fx, &to.fx);
	CHECK_EQ(raised(&to), 0);
	devices_resume(&to.fx.vmm);
	CHECK_EQ(raised(&to), 1U << 11);
	routes_close(&to);
	devices_reset(&r.fx.vmm);
	CHECK_EQ(raised(&r), 0);
	devices_resume(&r.fx.vmm);
	CHECK_EQ(raised(&r), 0);
	cfg_port_w(&r.fx, LPC, 0x61, 1, 0x0b);
	CHECK_EQ(raised(&r), 0);
	routes_close(&r);
}

/* The window, the address port and the registers arrive elsewhere. */
TEST(state)
{
	static struct fx to;
	struct pci_host *host2;

	setup(&fx, &host, 0);
	cfg_port_w(&fx, HOST, 0x60, 4, 0xb0000001);
	cfg_port_w(&fx, HOST, 0x94, 2, 0x2112);
	cfg_port_w(&fx, LPC, 0x61, 1, 0x05);
	fx_write(&fx, VM_SPACE_IO, 0xcf8, 4, 0x80000000U | LPC << 8 | 0x60);
	devices_pause(&fx.vmm);
	setup(&to, &host2, 0);
	devices_pause(&to.vmm);
	fx_move(&fx, &to);
	devices_resume(&to.vmm);
	CHECK_EQ(fx_read(&to, VM_SPACE_IO, 0xcfd, 1), 0x05);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, 0xb0000000, 4), 0x29c08086);
	CHECK_EQ(fx_read(&to, VM_SPACE_MEM, 0xb0000094, 2), 0x2112);
	teardown(&to, host2);
	/* And in a pause at home nothing is lost. */
	devices_resume(&fx.vmm);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0xcfd, 1), 0x05);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xb0000000, 4), 0x29c08086);
	teardown(&fx, host);
}

TEST_MAIN()
