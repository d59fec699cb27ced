/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt.c - flattened devicetrees, by libfdt: nodes of devices from what they say about themselves, RAM, PCI.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include "../error.h"
#include "fdt.h"

#define	NAME_MAX_LEN	80
#define	TEXTS_MAX	256

/* Phandles of devices' nodes: their place in the list of devices, from here on. */
#define	DEVICE_PHANDLE	0x100U

/* The writer */

/* Remember the first failure; nothing is written behind it. */
#define	TRY(w, call)	((w)->error == 0 ? (void)((w)->error = (call)) : (void)0)

int
dt_begin(struct dt_writer *w)
{
	w->error = 0;
	w->buf = calloc(1, DT_ROOM);
	if (w->buf == NULL)
		return (vmm_fail(ENOMEM, "devicetree: no memory"));
	TRY(w, fdt_create(w->buf, (int)DT_ROOM));
	TRY(w, fdt_finish_reservemap(w->buf));
	TRY(w, fdt_begin_node(w->buf, ""));
	dt_u32(w, "#address-cells", 2);
	dt_u32(w, "#size-cells", 2);
	return (0);
}

int
dt_finish(struct dt_writer *w, struct dt_blob *blob)
{
	int error;

	dt_end(w);
	TRY(w, fdt_finish(w->buf));
	*blob = (struct dt_blob){ 0 };
	if (w->error != 0) {
		error = w->error;
		dt_drop(w);
		return (vmm_fail(ENOSPC, "devicetree: %s", fdt_strerror(error)));
	}
	blob->data = w->buf;
	blob->len = fdt_totalsize(w->buf);
	w->buf = NULL;
	return (0);
}

void
dt_drop(struct dt_writer *w)
{
	free(w->buf);
	w->buf = NULL;
}

void
dt_free(struct dt_blob *blob)
{
	free(blob->data);
	*blob = (struct dt_blob){ 0 };
}

static void
node_name(char *buf, size_t len, const char *name, uint64_t unit)
{
	if (unit == DT_NO_UNIT)
		(void)snprintf(buf, len, "%s", name);
	else
		(void)snprintf(buf, len, "%s@%" PRIx64, name, unit);
}

void
dt_node(struct dt_writer *w, const char *name, uint64_t unit)
{
	char full[NAME_MAX_LEN];

	node_name(full, sizeof(full), name, unit);
	TRY(w, fdt_begin_node(w->buf, full));
}

void
dt_end(struct dt_writer *w)
{
	TRY(w, fdt_end_node(w->buf));
}

void
dt_flag(struct dt_writer *w, const char *name)
{
	TRY(w, fdt_property(w->buf, name, NULL, 0));
}

void
dt_cells(struct dt_writer *w, const char *name, unsigned n, const uint32_t *cells)
{
	void *to;

	TRY(w, fdt_property_placeholder(w->buf, name, (int)(n * sizeof(fdt32_t)), &to));
	for (unsigned i = 0; w->error == 0 && i < n; i++)
		fdt32_st((uint8_t *)to + i * sizeof(fdt32_t), cells[i]);
}

void
dt_u32(struct dt_writer *w, const char *name, uint32_t val)
{
	dt_cells(w, name, 1, &val);
}

void
dt_text(struct dt_writer *w, const char *name, const char *text)
{
	TRY(w, fdt_property_string(w->buf, name, text));
}

void
dt_texts(struct dt_writer *w, const char *name, const char *texts)
{
	char copy[TEXTS_MAX];
	size_t len = strlen(texts) + 1;

	if (len > sizeof(copy)) {
		TRY(w, -FDT_ERR_BADVALUE);
		return;
	}
	for (size_t i = 0; i < len; i++)
		copy[i] = texts[i] == ' ' ? '\0' : texts[i];
	TRY(w, fdt_property(w->buf, name, copy, (int)len));
}

void
dt_reg(struct dt_writer *w, uint64_t addr, uint64_t len)
{
	const uint32_t cells[] = { (uint32_t)(addr >> 32), (uint32_t)addr, (uint32_t)(len >> 32), (uint32_t)len };

	dt_cells(w, "reg", 4, cells);
}

/* Devices */

static struct device_description
describe(struct device *dev)
{
	struct device_description desc = { 0 };

	if (dev->place.on == DEVICE_ON_MMIO && dev->cls->describe != NULL)
		dev->cls->describe(dev, &desc);
	if (desc.node == NULL)
		desc.node = dev->cls->name;
	return (desc);
}

uint32_t
dt_device_phandle(const struct device *dev)
{
	uint32_t n = 0;

	for (dev = dev->prev; dev != NULL; dev = dev->prev)
		n++;
	return (DEVICE_PHANDLE + n);
}

const char *
dt_device_path(struct device *dev, char *buf, size_t len)
{
	buf[0] = '/';
	node_name(buf + 1, len - 1, describe(dev).node, dev->place.base);
	return (buf);
}

static void
device_clocks(struct dt_writer *w, const struct device_description *desc, const struct dt_machine *dm)
{
	uint32_t clocks[4];
	unsigned n = 1;

	if (desc->clocks == NULL) {
		if (desc->clock_hz != 0)
			dt_u32(w, "clock-frequency", desc->clock_hz);
		return;
	}
	if (desc->clock_hz != 0 && desc->clock_hz != dm->clock_hz)
		TRY(w, -FDT_ERR_BADVALUE);
	for (const char *p = desc->clocks; (p = strchr(p, ' ')) != NULL && n < 4; p++)
		n++;
	for (unsigned i = 0; i < n; i++)
		clocks[i] = dm->clock;
	dt_cells(w, "clocks", n, clocks);
	dt_texts(w, "clock-names", desc->clocks);
}

static void
device_interrupts(struct dt_writer *w, const struct device *dev, const struct dt_machine *dm)
{
	uint32_t cells[DEVICE_MAXIRQ * DT_INTR_CELLS];
	unsigned n = 0;

	for (unsigned i = 0; i < dev->place.nirqs; i++) {
		struct vm_irq_info info;

		if (vm_irq_get_info(dev->place.irq[i], &info) == 0)
			dm->intr(info.line, &cells[DT_INTR_CELLS * n++]);
	}
	if (n != 0)
		dt_cells(w, "interrupts", n * DT_INTR_CELLS, cells);
}

static void
device_node(struct dt_writer *w, struct device *dev, const struct device_description *desc, const struct dt_machine *dm)
{
	dt_node(w, desc->node, dev->place.base);
	dt_texts(w, "compatible", desc->compatible);
	dt_reg(w, dev->place.base, desc->len != 0 ? desc->len : dev->cls->range_len);
	device_interrupts(w, dev, dm);
	device_clocks(w, desc, dm);
	if (desc->dma_coherent)
		dt_flag(w, "dma-coherent");
	for (unsigned i = 0; i < DEVICE_MAXPROPS && desc->prop[i].name != NULL; i++) {
		if (desc->prop[i].cell)
			dt_u32(w, desc->prop[i].name, desc->prop[i].val);
		else
			dt_flag(w, desc->prop[i].name);
	}
	dt_u32(w, "phandle", dt_device_phandle(dev));
	dt_end(w);
}

void
dt_devices(struct dt_writer *w, struct vmm *vmm, const struct dt_machine *dm)
{
	for (struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		struct device_description desc = describe(dev);

		if (desc.compatible != NULL)
			device_node(w, dev, &desc, dm);
	}
}

/* RAM */

void
dt_memory(struct dt_writer *w, struct vmctx *vm)
{
	uint64_t left = vm_get_lowmem_size(vm) + vm_get_highmem_size(vm), len;
	struct vm_layout layout;

	if (vm_get_layout(vm, &layout) != 0) {
		TRY(w, -FDT_ERR_BADVALUE);
		return;
	}
	for (unsigned i = 0; i < layout.nram && left != 0; i++) {
		len = layout.ram[i].limit - layout.ram[i].base;
		if (len > left)
			len = left;
		dt_node(w, "memory", layout.ram[i].base);
		dt_text(w, "device_type", "memory");
		dt_reg(w, layout.ram[i].base, len);
		dt_end(w);
		left -= len;
	}
}

/* PCI */

/* Types of addresses (PCI Bus Binding 2.2.1.1): ports, memory of 32 and of 64 bits. */
#define	SPACE_IO	0x01000000U
#define	SPACE_MEM32	0x02000000U
#define	SPACE_MEM64	0x03000000U

#define	RANGE_CELLS	7
#define	PINS		4
#define	MAP_CELLS	(4 + 1 + 2 + DT_INTR_CELLS)

static uint32_t *
pci_range(uint32_t *c, uint32_t space, uint64_t bus, uint64_t cpu, uint64_t len)
{
	*c++ = space;
	*c++ = (uint32_t)(bus >> 32);
	*c++ = (uint32_t)bus;
	*c++ = (uint32_t)(cpu >> 32);
	*c++ = (uint32_t)cpu;
	*c++ = (uint32_t)(len >> 32);
	*c++ = (uint32_t)len;
	return (c);
}

/* Which line a pin of a slot is on; slots repeat after nlines. */
static void
pci_interrupts(struct dt_writer *w, const struct dt_pci *pci, const struct dt_machine *dm)
{
	uint32_t map[8 * PINS * MAP_CELLS], *c = map;
	const uint32_t mask[] = { (pci->nlines - 1) << 11, 0, 0, 7 };

	for (unsigned slot = 0; slot < pci->nlines && slot < 8; slot++) {
		for (unsigned pin = 0; pin < PINS; pin++, c += MAP_CELLS) {
			memset(c, 0, MAP_CELLS * sizeof(*c));
			c[0] = slot << 11;
			c[3] = pin + 1;
			c[4] = pci->intc;
			dm->intr(pci->line + (slot + pin) % pci->nlines, c + 7);
		}
	}
	dt_u32(w, "#interrupt-cells", 1);
	dt_cells(w, "interrupt-map-mask", 4, mask);
	dt_cells(w, "interrupt-map", (unsigned)(c - map), map);
}

void
dt_pci(struct dt_writer *w, const struct dt_pci *pci, const struct dt_machine *dm)
{
	const uint32_t buses[] = { 0, 255 }, msi[] = { 0, pci->msi, 0, 0x10000 };
	uint32_t ranges[3 * RANGE_CELLS], *c = ranges;

	c = pci_range(c, SPACE_IO, 0, pci->io, pci->io_len);
	c = pci_range(c, SPACE_MEM32, pci->mem32, pci->mem32, pci->mem32_len);
	if (pci->mem64_len != 0)
		c = pci_range(c, SPACE_MEM64, pci->mem64, pci->mem64, pci->mem64_len);
	dt_node(w, "pcie", pci->ecam);
	dt_text(w, "compatible", "pci-host-ecam-generic");
	dt_text(w, "device_type", "pci");
	dt_u32(w, "#address-cells", 3);
	dt_u32(w, "#size-cells", 2);
	dt_reg(w, pci->ecam, 256ULL << 20);
	dt_cells(w, "bus-range", 2, buses);
	dt_cells(w, "ranges", (unsigned)(c - ranges), ranges);
	pci_interrupts(w, pci, dm);
	if (pci->msi != 0)
		dt_cells(w, "msi-map", 4, msi);
	dt_flag(w, "dma-coherent");
	dt_end(w);
}

/* Boot loaders */

int
dt_set_boot(struct dt_blob *blob, const char *cmdline, uint64_t initrd, uint64_t initrd_len)
{
	int node = -FDT_ERR_NOTFOUND, error = fdt_open_into(blob->data, blob->data, (int)DT_ROOM);

	if (error == 0 && (node = fdt_path_offset(blob->data, "/chosen")) < 0)
		error = node;
	if (error == 0)
		error = fdt_setprop_string(blob->data, node, "bootargs", cmdline);
	if (error == 0 && initrd_len != 0) {
		error = fdt_setprop_u64(blob->data, node, "linux,initrd-start", initrd);
		if (error == 0)
			error = fdt_setprop_u64(blob->data, node, "linux,initrd-end", initrd + initrd_len);
	}
	if (error == 0)
		error = fdt_pack(blob->data);
	if (error != 0)
		return (vmm_fail(error == -FDT_ERR_NOSPACE ? E2BIG : EINVAL, "what the boot loader adds to the devicetree does not fit "
		    "into its %lu bytes (a long command line?): %s", DT_ROOM, fdt_strerror(error)));
	blob->len = fdt_totalsize(blob->data);
	return (0);
}
