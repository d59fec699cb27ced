/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru_cfg.c - what a guest is shown of the configuration space of a host's device.
 *
 * Identity and BARs are the framework's registers with the device's values; of the capabilities a table says which are made anew, which the guest
 * reaches in the device and which it does not see.  What the table does not name is hidden.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "passthru.h"
#include "pci_internal.h"

#define	HEADER_KIND	0x7fU
#define	STATUS_CAPS	0x10U

#define	CAP_MSI		0x05
#define	CAP_VENDOR	0x09
#define	CAP_EXPRESS	0x10
#define	CAP_MSIX	0x11

/* PCI 6.8.1.3 and 6.8.2.3 to 6.8.2.5 */
#define	MSI_CAPABLE(c)	((c) >> 1 & 7)
#define	MSIX_LAST(c)	((c) & 0x7ffU)
#define	MSIX_BIR	7U
#define	MSIX_CAP_LEN	12
#define	ENTRY		16

#define	EXT_FIRST	0x100		/* PCIe 7.6.3 */
#define	EXT_SERIAL	0x0003

enum fate { HIDDEN, EMULATED, PASSED };

/*
 * Capabilities by id (PCI Code and ID Assignment 1.11, 2.1), and why: a guest must neither do anything to the host by one nor miss what
 * drivers need.
 */
static const struct {
	uint8_t		 id;
	enum fate	 fate;
	const char	*name, *why;
} caps[] = {
	{ 0x01, EMULATED, "power management", "a device that is off does not answer, and its owner is the host" },
	{ 0x02, HIDDEN, "AGP", "the guest has no AGP bridge" },
	{ 0x03, HIDDEN, "vital product data", "what is written there stays in the device for the next owner" },
	{ 0x04, HIDDEN, "slot identification", "it is about the host's slots" },
	{ CAP_MSI, EMULATED, "MSI", "messages are the guest's, not the host's" },
	{ 0x06, HIDDEN, "CompactPCI hot swap", "the host's slot" },
	{ 0x07, HIDDEN, "PCI-X", "the host's bus" },
	{ 0x08, HIDDEN, "HyperTransport", "the host's links and interrupts" },
	{ CAP_VENDOR, PASSED, "vendor specific", "only its driver knows what it is for" },
	{ 0x0a, HIDDEN, "debug port", "it is the host's console" },
	{ 0x0b, HIDDEN, "CompactPCI resource control", "the host's bus" },
	{ 0x0c, HIDDEN, "hot-plug", "the host's slot" },
	{ 0x0d, HIDDEN, "subsystem of a bridge", "bridges are not passed" },
	{ 0x0e, HIDDEN, "AGP 8x", "the guest has no AGP bridge" },
	{ 0x0f, HIDDEN, "secure device", "it is about the host's IOMMU" },
	{ CAP_EXPRESS, EMULATED, "PCI Express", "the link and its errors are the host's; the reset is done by the host" },
	{ CAP_MSIX, EMULATED, "MSI-X", "messages are the guest's, not the host's" },
	{ 0x12, HIDDEN, "SATA", "it is another way to registers that are in a BAR" },
	{ 0x13, EMULATED, "advanced features", "its reset is done by the host, by the PCI Express capability or this one" },
	{ 0x14, HIDDEN, "enhanced allocation", "addresses are the guest's, by BARs" },
	{ 0x15, HIDDEN, "flattening portal bridge", "bridges are not passed" },
};

static uint32_t
get(const uint8_t *p, unsigned off, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, p + off, size);
	return (v);
}

/* SECTION: addresses */

/* Up to four numbers between separators; how many, 0 if there is something else. */
static unsigned
numbers(const char *text, int base, const char *seps, unsigned long num[4])
{
	char *end;
	unsigned n = 0;

	for (;;) {
		/* strtoul() takes signs and blanks, too. */
		if (n == 4 || strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") == 0)
			return (0);
		num[n++] = strtoul(text, &end, base);
		if (*end == '\0')
			return (n);
		if (strchr(seps, *end) == NULL)
			return (0);
		text = end + 1;
	}
}

int
passthru_parse(const char *text, struct passthru_addr *addr)
{
	unsigned long num[4] = { 0 }, domain = 0, *n = num;
	bool pci = strncmp(text, "pci", 3) == 0;
	unsigned count;

	if (pci)
		count = numbers(text + 3, 10, ":", num);
	else if (strchr(text, '/') != NULL)
		count = numbers(text, 10, "/", num);
	else
		count = strchr(text, '.') != NULL ? numbers(text, 16, ":.", num) : 0;
	/* Linux's has a dot before the function and nowhere else. */
	if (count != 0 && !pci && strchr(text, '.') != NULL && (strchr(text, '/') != NULL || strchr(strchr(text, '.'), ':') != NULL ||
	    strchr(text, '.') != strrchr(text, '.')))
		count = 0;
	if (count == 4)
		domain = *n++;
	if (count < 3 || domain > 0xffff || n[0] > 255 || n[1] > 31 || n[2] > 7)
		return (vmm_fail(EINVAL, "'%.32s' is no PCI address of the host, such as 0000:03:00.0 (lspci -D), 3/0/0 or pci0:3:0:0", text));
	*addr = (struct passthru_addr){ .bus = (int)(domain << 8 | n[0]), .slot = (int)n[1], .func = (int)n[2] };
	return (0);
}

/* SECTION: the plan */

static void
plan_bars(const struct vm_pptdev_info *info, struct passthru_plan *plan, void (*hide)(void *, const char *, const char *), void *arg)
{
	for (unsigned n = 0; n < PCI_NBARS; n++) {
		const struct vm_pptdev_bar *b = &info->bar[n];
		bool io = (b->flags & VM_PPTDEV_BAR_IO) != 0, wide = !io && (b->flags & VM_PPTDEV_BAR_64) != 0;
		uint64_t size = b->size < 16 ? 16 : b->size;
		char name[16];

		if (b->size == 0)
			continue;
		(void)snprintf(name, sizeof(name), "BAR %u", n);
		if ((size & (size - 1)) != 0 || size > (io ? 256U : wide ? 1ULL << 47 : 1ULL << 31) || (wide && n + 1 == PCI_NBARS)) {
			hide(arg, name, "it is of a size that no BAR has");
			continue;
		}
		plan->bar[n].kind = io ? PCI_BAR_IO : wide ? PCI_BAR_MEM64 : PCI_BAR_MEM32;
		plan->bar[n].size = size;
		if (wide)
			n++;
	}
}

/* A BAR has all of it. */
static bool
part_fits(const struct passthru_plan *plan, const struct passthru_part *p)
{
	enum pci_bar_kind kind = p->bar < PCI_NBARS ? plan->bar[p->bar].kind : PCI_BAR_NONE;

	return ((kind == PCI_BAR_MEM32 || kind == PCI_BAR_MEM64) && p->off <= plan->bar[p->bar].size && p->len <= plan->bar[p->bar].size - p->off);
}

static const char *
plan_msix(const uint8_t *cfg, unsigned at, const struct vm_pptdev_info *info, struct passthru_plan *plan)
{
	unsigned n = MSIX_LAST(get(cfg, at + 2, 2)) + 1;
	uint32_t table = get(cfg, at + 4, 4), pba = get(cfg, at + 8, 4);

	if (plan->nmsix != 0)
		return ("it has this already");
	if (info->msix < n)
		return ("the host gives it not as many messages");
	plan->table = (struct passthru_part){ table & MSIX_BIR, table & ~MSIX_BIR, (uint64_t)n * ENTRY };
	plan->pba = (struct passthru_part){ pba & MSIX_BIR, pba & ~MSIX_BIR, (uint64_t)(n + 63) / 64 * 8 };
	if (!part_fits(plan, &plan->table) || !part_fits(plan, &plan->pba) || (plan->table.bar == plan->pba.bar &&
	    plan->table.off < plan->pba.off + plan->pba.len && plan->pba.off < plan->table.off + plan->table.len))
		return ("its table is not in a BAR");
	plan->nmsix = n;
	return (NULL);
}

/* A capability at `at`, behind which up to end nothing else is: why it is not shown, NULL if it is. */
static const char *
plan_cap(const uint8_t *cfg, unsigned at, unsigned end, const struct vm_pptdev_info *info, struct passthru_plan *plan, const char **name)
{
	uint8_t id = cfg[at];
	unsigned i, len;

	for (i = 0; i < sizeof(caps) / sizeof(caps[0]) && caps[i].id != id; i++)
		continue;
	*name = "unknown";
	if (i == sizeof(caps) / sizeof(caps[0]))
		return ("nobody knows what it is");
	*name = caps[i].name;
	if (caps[i].fate == HIDDEN)
		return (caps[i].why);
	switch (id) {
	case CAP_VENDOR:
		len = end - at >= 3 ? cfg[at + 2] : 0;
		if (len < 3 || len > end - at)
			return ("it is cut off");
		if (plan->ncaps == PASSTHRU_CAPS)
			return ("there are too many");
		plan->cap[plan->ncaps++] = (struct passthru_cap){ .id = id, .len = (uint8_t)len, .host = (uint8_t)at };
		return (NULL);
	case CAP_MSI:
		if (info->msi == 0 || MSI_CAPABLE(get(cfg, at + 2, 2)) > 5)
			return ("the host gives it no messages");
		for (plan->nmsi = 1; plan->nmsi * 2 <= info->msi && plan->nmsi < 1U << MSI_CAPABLE(get(cfg, at + 2, 2));)
			plan->nmsi *= 2;
		return (NULL);
	case CAP_MSIX:
		return (end - at < MSIX_CAP_LEN ? "it is cut off" : plan_msix(cfg, at, info, plan));
	case CAP_EXPRESS:
		plan->ident.flr = info->reset ? PCI_FLR_EXPRESS : PCI_FLR_NONE;
		return (info->reset ? NULL : "the host cannot reset the device");
	default:
		return (NULL);
	}
}

/* The list of capabilities, which may lead anywhere, in circles too. */
static void
plan_caps(const uint8_t *cfg, const struct vm_pptdev_info *info, struct passthru_plan *plan, void (*hide)(void *, const char *, const char *), void *arg)
{
	bool seen[PASSTHRU_CFG / 4] = { false };
	unsigned at;

	if ((cfg[PCI_STATUS] & STATUS_CAPS) == 0)
		return;
	for (at = cfg[PCI_CAPABILITIES] & ~3U; at >= PCI_HEADER_END && !seen[at / 4]; at = cfg[at + 1] & ~3U)
		seen[at / 4] = true;
	for (at = 0; at < PASSTHRU_CFG; at += 4) {
		unsigned end = at + 4;
		const char *name, *why;

		if (!seen[at / 4])
			continue;
		while (end < PASSTHRU_CFG && !seen[end / 4])
			end += 4;
		why = plan_cap(cfg, at, end, info, plan, &name);
		if (why != NULL)
			hide(arg, name, why);
	}
}

/* Of the extended capabilities, which are about links, errors and address translation, the guest sees the serial number. */
static void
plan_extended(const uint8_t *cfg, size_t len, struct passthru_plan *plan)
{
	unsigned at = EXT_FIRST, left = PCI_CFG_LEN / 8;

	while (at >= EXT_FIRST && at + PASSTHRU_SERIAL <= len && left-- > 0) {
		uint32_t head = get(cfg, at, 4);

		if (head == 0 || head == UINT32_MAX)
			return;
		if ((head & 0xffff) == EXT_SERIAL) {
			memcpy(plan->serial, cfg + at, PASSTHRU_SERIAL);
			plan->serial[2] &= 0x0f;	/* version; there is none behind it */
			plan->serial[3] = 0;
			plan->has_serial = true;
			return;
		}
		at = head >> 20 & ~3U;
	}
}

int
passthru_plan(const uint8_t *cfg, size_t len, const struct vm_pptdev_info *info, struct passthru_plan *plan,
    void (*hide)(void *arg, const char *what, const char *why), void *arg)
{
	memset(plan, 0, sizeof(*plan));
	if (get(cfg, PCI_VENDOR, 2) == 0xffff)
		return (vmm_fail(EIO, "it does not answer: is it switched off?"));
	if ((cfg[PCI_HEADER_TYPE] & HEADER_KIND) != 0)
		return (vmm_fail(EINVAL, "it is a bridge; pass the devices behind it"));
	plan->ident = (struct pci_ident){
		.vendor = (uint16_t)get(cfg, PCI_VENDOR, 2), .device = (uint16_t)get(cfg, PCI_DEVICE, 2),
		.subvendor = (uint16_t)get(cfg, PCI_SUBVENDOR, 2), .subdevice = (uint16_t)get(cfg, PCI_SUBDEVICE, 2),
		.class_code = get(cfg, PCI_CLASS, 2) | (uint32_t)cfg[PCI_CLASS + 2] << 16, .revision = cfg[PCI_REVISION],
		.intx = info->pin && cfg[PCI_INTERRUPT_PIN] != 0,
		.power = true,
		.flr = info->reset ? PCI_FLR_CONVENTIONAL : PCI_FLR_NONE,
	};
	plan_bars(info, plan, hide, arg);
	plan_caps(cfg, info, plan, hide, arg);
	if (len >= PCI_CFG_LEN && plan->ident.flr == PCI_FLR_EXPRESS)
		plan_extended(cfg, len, plan);
	return (0);
}

/* SECTION: BARs */

static void
cut(struct passthru_part *part, unsigned *n, uint64_t lo, uint64_t hi)
{
	for (unsigned i = *n; i-- > 0;) {
		struct passthru_part p = part[i];

		if (hi <= p.off || lo >= p.off + p.len)
			continue;
		part[i].len = lo > p.off ? lo - p.off : 0;
		if (hi < p.off + p.len)
			part[(*n)++] = (struct passthru_part){ p.bar, hi, p.off + p.len - hi };
	}
}

unsigned
passthru_parts(const struct passthru_plan *plan, unsigned n, uint64_t page, struct passthru_part part[3])
{
	const struct passthru_part *not[2] = { &plan->table, &plan->pba };
	unsigned count = 1, kept = 0;

	if (plan->bar[n].kind != PCI_BAR_MEM32 && plan->bar[n].kind != PCI_BAR_MEM64)
		return (0);
	part[0] = (struct passthru_part){ n, 0, plan->bar[n].size & ~(page - 1) };
	for (unsigned i = 0; i < 2 && plan->nmsix != 0; i++) {
		if (not[i]->bar == n)
			cut(part, &count, not[i]->off & ~(page - 1), (not[i]->off + not[i]->len + page - 1) & ~(page - 1));
	}
	for (unsigned i = 0; i < count; i++) {
		if (part[i].len != 0)
			part[kept++] = part[i];
	}
	return (kept);
}
