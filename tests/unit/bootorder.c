/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootorder.c - what firmware is told of the order in which devices are to be tried.
 */
#include "firmware/bootorder.h"
#include "firmware/fw_cfg.h"
#include "pci/root_port.h"
#include "pci_fixture.h"

static struct fx fx;
static struct pci_host *host;
static struct device *fw_cfg;

static int
t_init(struct device *dev)
{
	static const struct pci_ident ident = { .vendor = 0x1234, .device = 1, .class_code = 0xff0000 };

	(void)snprintf(dev->boot_unit, sizeof(dev->boot_unit), "%s", dev->place.devfn == PCI_DEVFN(17, 0) ? ",feed" : "");
	return (pci_init(dev->soft, dev, &ident, NULL));
}

static const struct config_key keys[] = { DEVICE_BOOT_KEY };

DEVICE_CLASS(test_boot, "test-boot", "what a test boots from", keys, NULL, .on = DEVICE_ON_PCI, .boot = "scsi/disk@0,0",
    .size = sizeof(struct pci_fn), .init = t_init, .fini = px_fini, .reset = px_reset, .pause = px_pause, .resume = px_resume);

/* A port is the node before what is behind it, which has no place of its own. */
static void
behind(struct device *port)
{
	const struct device_place place = { .on = DEVICE_ON_PCI, .pci = host, .port = root_port_of(port), .bus = 18 };

	CHECKF(fx_make_with(&fx, "test-boot", "behind", &place, "behind.bootindex=1\n") != NULL, "%s", vmm_errmsg());
}

/* One with several units. */
static const struct config_key unit_keys[] = { DEVICE_BOOT_KEY_AT("port.0."), DEVICE_BOOT_KEY_AT("port.1."), DEVICE_BOOT_KEY_AT("port.2.") };

DEVICE_CLASS(test_boots, "test-boots", "what a test boots from", unit_keys, NULL, .on = DEVICE_ON_PCI, .boot = "sata/drive@#/disk@0",
    .boot_key = "port.#.bootindex", .boot_units = 3, .size = sizeof(struct pci_fn), .init = t_init, .fini = px_fini, .reset = px_reset,
    .pause = px_pause, .resume = px_resume);

/* Devices at these places, with these keys; -1: without. */
static void
setup(unsigned n, const unsigned *devfn, const int *index)
{
	const struct device_class *cls = device_class_find("fw-cfg");
	const struct device_place place = { .on = DEVICE_ON_IO, .base = 0x510 };
	char name[16], text[64];

	fx_open(&fx);
	host = px_host(&fx);
	fw_cfg = device_create(&fx.vmm, cls, "fwcfg", fx_node(&fx, "fwcfg", cls), &place);
	CHECKF(fw_cfg != NULL, "%s", vmm_errmsg());
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		(void)snprintf(text, sizeof(text), "%s.bootindex=%d\n", name, index[i]);
		CHECKF(px_make_with(&fx, host, "test-boot", name, devfn[i], NULL, index[i] >= 0 ? text : "") != NULL, "%s", vmm_errmsg());
	}
}

static void
finish(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

/* What firmware finds, with the byte that ends it. */
static void
is_told(const char *want)
{
	const void *data;
	size_t len;

	CHECKF(bootorder_publish(&fx.vmm, fw_cfg) == 0, "%s", vmm_errmsg());
	data = fw_cfg_file(fw_cfg, "bootorder", &len);
	CHECK(data != NULL);
	CHECK_EQ(len, strlen(want) + 1);
	CHECK(memcmp(data, want, len) == 0);
}

TEST(in_order)
{
	static const unsigned devfn[] = { PCI_DEVFN(4, 0), PCI_DEVFN(17, 0), PCI_DEVFN(5, 2), PCI_DEVFN(6, 0) };
	static const char want[] = "/pci@i0cf8/scsi@5,2/disk@0,0\n/pci@i0cf8/scsi@4/disk@0,0\n/pci@i0cf8/scsi@11/disk@0,0,feed";
	static const int index[] = { 3, 255, 0, -1 };

	setup(4, devfn, index);
	is_told(want);
	finish();
}

TEST(nobody_says)
{
	static const unsigned devfn[] = { PCI_DEVFN(4, 0) };
	static const int index[] = { -1 };
	size_t len;

	setup(1, devfn, index);
	CHECK_EQ(bootorder_publish(&fx.vmm, fw_cfg), 0);
	CHECK(fw_cfg_file(fw_cfg, "bootorder", &len) == NULL);
	finish();
}

/* Each unit of a device has a place of its own among all devices. */
TEST(units)
{
	static const unsigned devfn[] = { PCI_DEVFN(4, 0) };
	static const char want[] = "/pci@i0cf8/sata@5/drive@2/disk@0\n/pci@i0cf8/scsi@4/disk@0,0\n/pci@i0cf8/sata@5/drive@0/disk@0";
	static const int index[] = { 6 };

	setup(1, devfn, index);
	CHECK(px_make_with(&fx, host, "test-boots", "s", PCI_DEVFN(5, 0), NULL, "s.port.0.bootindex=7\ns.port.2.bootindex=2\n") != NULL);
	is_told(want);
	finish();
}

TEST(two_units_at_one_place)
{
	setup(0, NULL, NULL);
	CHECK(px_make_with(&fx, host, "test-boots", "s", PCI_DEVFN(5, 0), NULL, "s.port.0.bootindex=7\ns.port.2.bootindex=7\n") != NULL);
	CHECK_EQ(bootorder_publish(&fx.vmm, fw_cfg), -1);
	CHECK_HAS(vmm_errmsg(), "s: port.0.bootindex and port.2.bootindex are the same, 7");
	finish();
}

/* What firmware knows the disks and drives of an AHCI controller by. */
TEST(ahci_ports)
{
	static const char want[] = "/pci@i0cf8/pci8086,2922@5/drive@5/disk@0\n/pci@i0cf8/pci8086,2922@5/drive@1/disk@0";

	setup(0, NULL, NULL);
	CHECKF(px_make_with(&fx, host, "ahci", "s", PCI_DEVFN(5, 0), NULL,
	    "s.port.1.type=cd\ns.port.1.bootindex=1\ns.port.5.type=cd\ns.port.5.bootindex=0\n") != NULL, "%s", vmm_errmsg());
	is_told(want);
	finish();
}

TEST(two_at_one_place)
{
	static const unsigned devfn[] = { PCI_DEVFN(4, 0), PCI_DEVFN(5, 0) };
	static const int index[] = { 7, 7 };

	setup(2, devfn, index);
	CHECK_EQ(bootorder_publish(&fx.vmm, fw_cfg), -1);
	CHECK_HAS(vmm_errmsg(), "d0 and d1 have the same bootindex, 7");
	finish();
}

TEST(behind_a_port)
{
	static const unsigned devfn[] = { PCI_DEVFN(4, 0) };
	static const int index[] = { 2 };
	struct device *port;

	setup(1, devfn, index);
	port = px_make(&fx, host, "root-port", "port", PCI_DEVFN(18, 0), NULL);
	CHECKF(port != NULL, "%s", vmm_errmsg());
	behind(port);
	is_told("/pci@i0cf8/pci-bridge@12/scsi@0/disk@0,0\n/pci@i0cf8/scsi@4/disk@0,0");
	finish();
}

TEST_MAIN()
