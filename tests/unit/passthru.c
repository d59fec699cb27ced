/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru.c - host devices: how they are named, what of one a guest is shown and where it can be mapped, and what is said where there can be none.
 */
#include "fake_ppt.h"
#include "pci/passthru.h"
#include "pci_fixture.h"

static struct passthru_plan plan;
static char hidden[4096];

static void
hide(void *arg, const char *what, const char *why)
{
	size_t len = strlen(hidden);

	CHECK(arg == &plan);
	(void)snprintf(hidden + len, sizeof(hidden) - len, "[%s: %s]", what, why);
}

/* What there is to show of the device. */
static int
look(size_t len)
{
	hidden[0] = '\0';
	return (passthru_plan(fake.cfg, len, &fake.info, &plan, hide, &plan));
}

TEST(addresses)
{
	static const struct {
		const char *text;
		int bus, slot, func;		/* bus -1: it is none */
	} is[] = {
		{ "0000:03:00.0", 3, 0, 0 }, { "03:1f.7", 3, 31, 7 }, { "1a:00.0", 26, 0, 0 }, { "0001:ff:00.0", 511, 0, 0 },
		{ "3/0/0", 3, 0, 0 }, { "255/31/7", 255, 31, 7 }, { "pci3:0:0", 3, 0, 0 }, { "pci0:3:0:1", 3, 0, 1 }, { "pci1:3:0:1", 259, 0, 1 },
		{ "", -1, 0, 0 }, { "3", -1, 0, 0 }, { "3/0", -1, 0, 0 }, { "256/0/0", -1, 0, 0 }, { "3/32/0", -1, 0, 0 }, { "3/0/8", -1, 0, 0 },
		{ "3/0/0/", -1, 0, 0 }, { "3/0/0x", -1, 0, 0 }, { "-3/0/0", -1, 0, 0 }, { " 3/0/0", -1, 0, 0 }, { "03:00:0", -1, 0, 0 },
		{ "03.00.0", -1, 0, 0 }, { "03.00:0", -1, 0, 0 }, { "10000:03:00.0", -1, 0, 0 }, { "03:00.0.0", -1, 0, 0 }, { "ppt0", -1, 0, 0 },
		{ "pci", -1, 0, 0 }, { "pci0:0:3:0:1", -1, 0, 0 }, { "03:0g.0", -1, 0, 0 }, { "99999999999999999999/0/0", -1, 0, 0 },
	};
	struct passthru_addr a;

	for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		if (is[i].bus == -1) {
			CHECKF(passthru_parse(is[i].text, &a) == -1, "'%s' is an address", is[i].text);
			CHECK_HAS(vmm_errmsg(), "is no PCI address of the host, such as 0000:03:00.0");
			continue;
		}
		CHECKF(passthru_parse(is[i].text, &a) == 0, "%s", vmm_errmsg());
		CHECKF(a.bus == is[i].bus && a.slot == is[i].slot && a.func == is[i].func, "'%s' is %d/%d/%d", is[i].text, a.bus, a.slot, a.func);
	}
}

TEST(a_disk_is_shown)
{
	fake_disk();
	CHECKF(look(4096) == 0, "%s", vmm_errmsg());
	CHECK_EQ(plan.ident.vendor, 0xabcd);
	CHECK_EQ(plan.ident.device, 0x5845);
	CHECK_EQ(plan.ident.subvendor, 0x1af4);
	CHECK_EQ(plan.ident.subdevice, 0x1100);
	CHECK_EQ(plan.ident.class_code, 0x010802);
	CHECK_EQ(plan.ident.revision, 3);
	CHECK(plan.ident.intx && plan.ident.power && !plan.ident.bridge);
	CHECK_EQ(plan.ident.flr, PCI_FLR_EXPRESS);
	CHECK_EQ(plan.bar[0].kind, PCI_BAR_MEM64);
	CHECK_EQ(plan.bar[0].size, 0x4000);
	CHECK_EQ(plan.bar[1].kind, PCI_BAR_NONE);
	CHECK_EQ(plan.bar[4].kind, PCI_BAR_IO);
	CHECK_EQ(plan.bar[4].size, 16);			/* the least that there is */
	CHECK_EQ(plan.nmsi, 4);
	CHECK_EQ(plan.nmsix, 9);
	CHECK_EQ(plan.table.off, 0x2000);
	CHECK_EQ(plan.table.len, 9 * 16);
	CHECK_EQ(plan.pba.off, 0x3000);
	CHECK_EQ(plan.ncaps, 1);
	CHECK_EQ(plan.cap[0].host, 0xa0);
	CHECK_EQ(plan.cap[0].len, 16);
	CHECK(plan.has_serial);
	CHECK_EQ(plan.serial[4], 1);
	CHECK_EQ(plan.serial[3], 0);
	CHECK_STR(hidden, "");
	/* Without the extended part there is no serial number; the host gives it two messages. */
	fake.info.msi = 3;
	CHECK_EQ(look(256), 0);
	CHECK(!plan.has_serial);
	CHECK_EQ(plan.nmsi, 2);
}

TEST(what_a_guest_is_not_shown)
{
	fake_disk();
	fake_put(0xa1, 1, 0xb0);
	fake_put(0xb0, 4, 0x0000c003);			/* vital product data, something new */
	fake_put(0xc0, 4, 0x0000d07e);
	fake_put(0xd0, 4, 0x00080009);			/* its vendor's, longer than there is room for */
	fake_put(0xd2, 1, 0x40);
	CHECK_EQ(look(4096), 0);
	CHECK_HAS(hidden, "[vital product data: what is written there stays in the device for the next owner]");
	CHECK_HAS(hidden, "[unknown: nobody knows what it is]");
	CHECK_HAS(hidden, "[vendor specific: it is cut off]");
	CHECK_EQ(plan.ncaps, 1);
}

TEST(bars_that_cannot_be)
{
	fake_disk();
	fake.info.bar[0].size = 0x3000;			/* with the vectors in it */
	fake.info.bar[2] = (struct vm_pptdev_bar){ 512, 0xc000, VM_PPTDEV_BAR_IO };
	fake.info.bar[3] = (struct vm_pptdev_bar){ 1ULL << 32, 0xc0000000, VM_PPTDEV_BAR_MAP };
	fake.info.bar[5] = (struct vm_pptdev_bar){ 0x1000, 0xc0000000, VM_PPTDEV_BAR_64 };
	CHECK_EQ(look(4096), 0);
	for (unsigned n = 0; n < PCI_NBARS; n++)
		CHECK_EQ(plan.bar[n].kind, n == 4 ? PCI_BAR_IO : PCI_BAR_NONE);
	CHECK_HAS(hidden, "[BAR 0: it is of a size that no BAR has][BAR 2: it is of a size that no BAR has]");
	CHECK_HAS(hidden, "[BAR 3: ");
	CHECK_HAS(hidden, "[BAR 5: ");
	CHECK_HAS(hidden, "[MSI-X: its table is not in a BAR]");
	CHECK_EQ(plan.nmsix, 0);
}

TEST(vectors_that_cannot_be)
{
	fake_disk();
	fake_put(0x94, 4, 0x3f90);			/* the table ends behind the BAR */
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.nmsix, 0);
	fake_put(0x94, 4, 0x2ff8);			/* pending bits are in it */
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.nmsix, 0);
	fake_put(0x94, 4, 0x2004);			/* it is in ports */
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.nmsix, 0);
	fake_put(0x94, 4, 0x2007);			/* it is in no BAR */
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.nmsix, 0);
	fake_put(0x94, 4, 0x2000);
	fake.info.msix = 8;
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.nmsix, 0);
	CHECK_HAS(hidden, "[MSI-X: the host gives it not as many messages]");
}

TEST(lists_without_an_end)
{
	fake_disk();
	fake_put(0xa1, 1, 0x40);
	fake_put(0x102, 2, 0x1001);			/* of the extended ones, too */
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.ncaps, 1);
	CHECK_EQ(plan.nmsix, 9);
	CHECK(!plan.has_serial);
	/* One that leads into another, whose registers are no capability then. */
	fake_disk();
	fake_put(0xa1, 1, 0xa4);
	CHECK_EQ(look(4096), 0);
	CHECK_HAS(hidden, "[vendor specific: it is cut off]");
	/* A device that is not there any more. */
	memset(fake.cfg, 0xff, sizeof(fake.cfg));
	CHECK_EQ(look(4096), -1);
	CHECK_HAS(vmm_errmsg(), "it does not answer");
}

TEST(bridges_are_not_passed)
{
	fake_disk();
	fake_put(0x0e, 1, 0x81);
	CHECK_EQ(look(4096), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vmm_errmsg(), "it is a bridge; pass the devices behind it");
}

TEST(a_device_without_a_reset_offers_none)
{
	fake_disk();
	fake.info.reset = false;
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.ident.flr, PCI_FLR_NONE);
	CHECK(!plan.has_serial);
	CHECK_HAS(hidden, "[PCI Express: the host cannot reset the device]");
	fake_disk();
	fake_put(0x70, 1, 0x13);
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(plan.ident.flr, PCI_FLR_CONVENTIONAL);
}

TEST(all_but_pages_with_vectors_is_mapped)
{
	struct passthru_part part[3];

	fake_disk();
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(passthru_parts(&plan, 0, 4096, part), 1);
	CHECK_EQ(part[0].off, 0);
	CHECK_EQ(part[0].len, 0x2000);
	CHECK_EQ(passthru_parts(&plan, 1, 4096, part), 0);
	CHECK_EQ(passthru_parts(&plan, 4, 4096, part), 0);
	/* A host with large pages has them on one with all else. */
	CHECK_EQ(passthru_parts(&plan, 0, 65536, part), 0);
	fake.info.bar[0].size = 0x10000;
	fake_put(0x98, 4, 0x8ff8);
	CHECK_EQ(look(4096), 0);
	CHECK_EQ(passthru_parts(&plan, 0, 4096, part), 3);
	CHECK_EQ(part[0].off + part[1].off + part[2].off, 0 + 0x3000 + 0x9000);
	CHECK_EQ(part[0].len + part[1].len + part[2].len, 0x10000 - 0x2000);
	plan.nmsix = 0;
	CHECK_EQ(passthru_parts(&plan, 0, 4096, part), 1);
	CHECK_EQ(part[0].len, 0x10000);
}

/* Nobody is there who would reach a device of the host's. */
TEST(soft_has_none)
{
	struct pci_host *host;
	struct fx fx;

	fx_open(&fx);
	host = px_host(&fx);
	CHECK(px_make_with(&fx, host, "passthru", "given", 8, NULL, "given.pptdev=0001:02:03.4\n") == NULL);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vmm_errmsg(), "given: passthrough of 0001:02:03.4: the soft back end cannot give host devices to a guest");
	pci_host_free(host);
	fx_close(&fx);
}

static void
refused(const char *keys, const char *words)
{
	struct pci_host *host;
	struct fx fx;

	fx_open(&fx);
	host = px_host(&fx);
	CHECK(px_make_with(&fx, host, "passthru", "given", 8, NULL, keys) == NULL);
	CHECK_HAS(vmm_errmsg(), words);
	pci_host_free(host);
	fx_close(&fx);
}

TEST(which_one_is_to_be_said)
{
	refused("", "given: it is not said which device of the host it is: pptdev=0000:03:00.0");
	refused("given.bus=1\ngiven.slot=2\n", "given: it is not said which device of the host it is");
	refused("given.bus=1\ngiven.slot=2\ngiven.func=3\n", "passthrough of 0000:01:02.3");
	refused("given.pptdev=ppt0\n", "given: pptdev: 'ppt0' is no PCI address of the host");
}

TEST_MAIN()
