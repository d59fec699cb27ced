/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_generic.c - the generic host bridge: what configuration space shows of it, and ports of a segment that are in memory.
 */
#include "pci/pci.h"
#include "vmm_fixture.h"

#define	ECAM	0xb0000000ULL
#define	PORTS	0xd0000000ULL

static struct fx fx;
static struct pci_host *host;

static uint32_t
cfg(unsigned devfn, unsigned off, unsigned size)
{
	return ((uint32_t)fx_read(&fx, VM_SPACE_MEM, ECAM + (devfn << 12) + off, size));
}

/* A function with a BAR of 16 ports, which read as their number. */
static uint64_t
port_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0x50 + off);
}

static void
port_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
}

static int
ports_init(struct device *dev)
{
	static const struct pci_ident ident = { .vendor = 0x1234, .device = 1, .class_code = 0xff0000 };
	static const struct pci_bar_ops ops = { port_read, port_write };
	struct pci_fn *fn = dev->soft;

	if (pci_init(fn, dev, &ident, NULL) != 0)
		return (-1);
	return (pci_add_bar(fn, 0, PCI_BAR_IO, 16, &ops, NULL));
}

static void
ports_fini(struct device *dev)
{
	pci_fini(dev->soft);
}

static void
ports_reset(struct device *dev)
{
	pci_reset(dev->soft);
}

static const struct device_class ports = {
	.name = "ports", .doc = "ports", .on = DEVICE_ON_PCI, .size = sizeof(struct pci_fn), .init = ports_init, .fini = ports_fini,
	.reset = ports_reset,
};

static void
setup(uint64_t io_window)
{
	struct pci_host_spec spec = { .ecam = ECAM, .io_window = io_window, .io_base = 0x6000, .io_limit = 0x10000 };
	struct device_place place = { .on = DEVICE_ON_PCI, .nirqs = 1 };
	const struct device_class *cls = device_class_find("pci-generic");

	fx_open(&fx);
	host = pci_host_new(&fx.vmm, &spec);
	CHECKF(host != NULL, "%s", vmm_errmsg());
	place.irq[0] = fx.irq;
	place.pci = host;
	CHECKF(device_create(&fx.vmm, cls, "bridge", fx_node(&fx, "bridge", cls), &place) != NULL, "%s", vmm_errmsg());
	place.devfn = PCI_DEVFN(1, 0);
	CHECKF(device_create(&fx.vmm, &ports, "ports", fx_node(&fx, "ports", &ports), &place) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

TEST(identity)
{
	setup(0);
	CHECK_EQ(cfg(0, 0, 4), 0x00081b36);
	CHECK_EQ(cfg(0, 0x08, 4) >> 8, 0x060000);
	CHECK_EQ(cfg(0, 0x2c, 4), 0x11001af4);
	CHECK_EQ(cfg(0, 0x0e, 1), 0);
	CHECK_EQ(cfg(0, 0x3d, 1), 0);
	for (unsigned bar = 0x10; bar < 0x28; bar += 4) {
		fx_write(&fx, VM_SPACE_MEM, ECAM + bar, 4, UINT32_MAX);
		CHECK_EQ(cfg(0, bar, 4), 0);
	}
	teardown();
}

TEST(ports_are_ports)
{
	setup(0);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	CHECK_EQ(cfg(8, 0x10, 4), 0x6001);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0x6003, 1), 0x53);
	teardown();
}

TEST(ports_are_in_memory)
{
	uint64_t val = 0;

	setup(PORTS);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	CHECK_EQ(cfg(8, 0x10, 4), 0x6001);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, PORTS + 0x6003, 1), 0x53);
	CHECK_EQ(vm_access(fx.vmm.vm, VM_SPACE_IO, 0x6003, 1, false, &val), -1);
	/* It follows the register. */
	fx_write(&fx, VM_SPACE_MEM, ECAM + (8 << 12) + 0x10, 4, 0x100);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, PORTS + 0x100, 1), 0x50);
	CHECK_EQ(vm_access(fx.vmm.vm, VM_SPACE_MEM, PORTS + 0x6003, 1, false, &val), -1);
	teardown();
}

TEST(moves_with_its_state)
{
	setup(0);
	fx_write(&fx, VM_SPACE_MEM, ECAM + 0x04, 2, 0x0004);
	devices_pause(&fx.vmm);
	fx_move(&fx, &fx);
	devices_resume(&fx.vmm);
	CHECK_EQ(cfg(0, 0x04, 2) & 6, 4);
	fx_reset(&fx);
	CHECK_EQ(cfg(0, 0x04, 2) & 6, 0);
	teardown();
}

TEST_MAIN()
