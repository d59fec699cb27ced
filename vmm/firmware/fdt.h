/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdt.h - flattened devicetrees (Devicetree Specification 0.4, "DTSpec") of machines.
 *
 * A machine writes its tree node by node; a device on MMIO writes nothing, its describe() says what belongs into its node, and
 * dt_devices() makes a node for each that has one.  Failures are remembered, so that only dt_finish() has to be asked.
 *
 * Control thread.
 */
#ifndef _HYVE_FDT_H_
#define	_HYVE_FDT_H_

#include <stddef.h>
#include <stdint.h>

#include "../device.h"

#define	DT_ROOM	(1UL << 20)	/* no tree is larger */
#define	DT_INTR_CELLS	3		/* of an interrupt specifier */

/* A tree, finished. */
struct dt_blob {
	uint8_t		*data;
	size_t		 len;
};

struct dt_writer {
	uint8_t		*buf;		/* of DT_ROOM bytes */
	int		 error;		/* the first failure, as libfdt has them */
};

/* Begin a tree, and its root node, in which addresses and sizes have two cells.  -1 with a sentence. */
int	dt_begin(struct dt_writer *w);
/*
 * End it.  *blob is the caller's to dt_free().  -1 with a sentence, of this or of what failed before; the writer is
 * done with in any case.
 */
int	dt_finish(struct dt_writer *w, struct dt_blob *blob);
/* Be done with a writer without a tree. */
void	dt_drop(struct dt_writer *w);
void	dt_free(struct dt_blob *blob);

/* Begin a node, with "@unit" unless unit is DT_NO_UNIT; end it. */
#define	DT_NO_UNIT	UINT64_MAX
void	dt_node(struct dt_writer *w, const char *name, uint64_t unit);
void	dt_end(struct dt_writer *w);
/* Properties (DTSpec 2.2.4): none, cells, a text, texts separated by blanks, pairs of address and length. */
void	dt_flag(struct dt_writer *w, const char *name);
void	dt_cells(struct dt_writer *w, const char *name, unsigned n, const uint32_t *cells);
void	dt_u32(struct dt_writer *w, const char *name, uint32_t val);
void	dt_text(struct dt_writer *w, const char *name, const char *text);
void	dt_texts(struct dt_writer *w, const char *name, const char *texts);
void	dt_reg(struct dt_writer *w, uint64_t addr, uint64_t len);

/* How a machine's interrupts are told. */
struct dt_machine {
	uint32_t	clock;		/* phandle of the fixed clock that devices with clocks have */
	uint32_t	clock_hz;	/* of that; a device that wants another is an error */
	/* The interrupt specifier of an interrupt line, level-triggered and active high. */
	void		(*intr)(unsigned line, uint32_t cells[DT_INTR_CELLS]);
};

/* A node for each device on MMIO that says what it is compatible with. */
void	dt_devices(struct dt_writer *w, struct vmm *vmm, const struct dt_machine *fm);
/* The phandle of a device's node, and its path ("/serial@9000000") into buf. */
uint32_t dt_device_phandle(const struct device *dev);
const char *dt_device_path(struct device *dev, char *buf, size_t len);

/* RAM of a VM: a node for each range of its layout that has some. */
void	dt_memory(struct dt_writer *w, struct vmctx *vm);

/* A PCI segment (PCI Bus Binding to Open Firmware; the kernel's binding host-generic-pci). */
struct dt_pci {
	uint64_t	ecam;			/* window of 256 buses */
	uint64_t	io, io_len;		/* where ports are in memory; port 0 is at its start */
	uint64_t	mem32, mem32_len;	/* the same addresses on both sides */
	uint64_t	mem64, mem64_len;	/* 0: none */
	unsigned	line, nlines;		/* pin A of slot d is on line + d % nlines, the others follow */
	uint32_t	intc;			/* phandle of the interrupt controller, whose address has two cells */
	uint32_t	msi;			/* phandle of what takes messages; 0: nothing does */
};
void	dt_pci(struct dt_writer *w, const struct dt_pci *pci, const struct dt_machine *fm);

/*
 * What a boot loader adds to a finished tree, in the node chosen: command line, and where the initrd is (initrd_len 0: there is
 * none).  blob->len changes.  -1 with a sentence.
 */
int	dt_set_boot(struct dt_blob *blob, const char *cmdline, uint64_t initrd, uint64_t initrd_len);

#endif /* _HYVE_FDT_H_ */
