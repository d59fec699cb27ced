/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ata_disk.c - commands of a hard disk (ACS 7, SATA 13.6) over an image of block/.
 *
 * PIO and DMA differ in the FIS at a command's end alone: on AHCI both go to memory by PRDs.
 */
#include <stdlib.h>

#include "ahci.h"

enum {
	F_WRITE = 0x01,
	F_EXT	= 0x02,		/* 48 bits of address and 16 of count */
	F_PIO	= 0x04,
	F_QUEUED = 0x08,
	F_FUA	= 0x10,
	F_MULTIPLE = 0x20,
};

#define	DSM_TRIM	1U	/* feature, ACS 7.10 */

/*
 * The sectors that a command is about, which the disk has.  ACS 4.1: addresses of cylinders and heads are of the past.  A result.
 */
static int
locate(struct ahci_cmd *c, unsigned flags, uint64_t *lba, uint32_t *count)
{
	const struct ata_regs *r = &c->in;

	if ((r->device & ATA_DEVICE_LBA) == 0)
		return (ATA_ABRT);
	if ((flags & F_QUEUED) != 0) {
		*count = r->feature != 0 ? r->feature : 65536;
		*lba = r->lba;
	} else if ((flags & F_EXT) != 0) {
		*count = r->count != 0 ? r->count : 65536;
		*lba = r->lba;
	} else {
		*count = (r->count & 0xff) != 0 ? r->count & 0xff : 256;
		*lba = (r->lba & 0xffffff) | (uint64_t)(r->device & 15) << 24;
	}
	return (*lba <= ata_sectors(c->p) && *count <= ata_sectors(c->p) - *lba ? 0 : ATA_IDNF);
}

/* READ and WRITE of all kinds (ACS 7.24 to 7.33, 7.62 to 7.71) */
static int
transfer(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	bool write = (flags & F_WRITE) != 0, fua = (flags & F_FUA) != 0 || ((flags & F_QUEUED) != 0 && (c->in.device & ATA_DEVICE_FUA) != 0);
	uint64_t lba;
	uint32_t count;
	int result = locate(c, flags, &lba, &count);

	if ((flags & F_MULTIPLE) != 0 && p->multiple == 0)
		result = ATA_ABRT;
	/* The tag is the slot's (AHCI 5.6.4.1), and a slot has one command. */
	if (c->queued && (c->in.count >> 3 != c->slot || (p->queued >> c->slot & 1) != 0))
		result = ATA_ABRT;
	if (result == 0 && write && block_readonly(p->image))
		result = ATA_ABRT;
	if (result != 0)
		return (result);
	p->power = ATA_ACTIVE;
	c->pio_in = (flags & F_PIO) != 0 && !write;
	c->off = lba << p->lbashift;
	c->left = (uint64_t)count << p->lbashift;
	c->failure = write ? ATA_ABRT | AHCI_FAULT : ATA_UNC;
	/* What is read with FUA is durable too; without a cache what is written. */
	c->sync = fua || (write && !p->wcache);
	*(write ? &p->writes : &p->reads) += count;
	return (ahci_transfer(c, write));
}

/* READ VERIFY (ACS 7.34): a read whose data nobody gets. */
static int
verify(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	uint64_t lba;
	uint32_t count;
	int result = locate(c, flags, &lba, &count);

	if (result != 0)
		return (result);
	c->scratch = malloc(AHCI_SCRATCH);
	if (c->scratch == NULL)
		return (ATA_ABRT);
	p->power = ATA_ACTIVE;
	c->off = lba << p->lbashift;
	c->left = (uint64_t)count << p->lbashift;
	c->failure = ATA_UNC;
	return (ahci_transfer(c, false));
}

static int
flush(struct ahci_cmd *c, unsigned flags)
{
	return (ahci_flush(c));
}

/* ACS 7.10 */
static int
dataset(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	unsigned blocks = c->in.count, n = 0;
	int result;

	if (!p->discard || (c->in.feature & 0xff) != DSM_TRIM || blocks == 0 || blocks > ATA_TRIM_BLOCKS)
		return (ATA_ABRT);
	result = ahci_get(c, c->range, blocks * AHCI_SECTOR);
	if (result != 0)
		return (result);
	for (unsigned i = 0; i < blocks * AHCI_SECTOR / 8; i++) {
		uint64_t lba = ATA_RANGE_LBA(c->range[i]), len = ATA_RANGE_LEN(c->range[i]);

		if (lba > ata_sectors(p) || len > ata_sectors(p) - lba)
			return (ATA_IDNF);
		if (len != 0)
			c->range[n++] = c->range[i];
	}
	c->nranges = n;
	c->sync = !p->wcache;
	return (ahci_discard(c));
}

/* ACS 7.46: a power of two, 0 for none. */
static int
set_multiple(struct ahci_cmd *c, unsigned flags)
{
	unsigned n = c->in.count & 0xff;

	if (n > ATA_MULTIPLE_MAX || (n & (n - 1)) != 0)
		return (ATA_ABRT);
	c->p->multiple = (uint8_t)n;
	return (0);
}

static const struct ata_command commands[] = {
	{ 0x06, F_EXT, dataset },
	{ 0x20, F_PIO, transfer }, { 0x24, F_PIO | F_EXT, transfer }, { 0x25, F_EXT, transfer }, { 0x29, F_PIO | F_EXT | F_MULTIPLE, transfer },
	{ ATA_READ_LOG, 0, ata_read_log },
	{ 0x30, F_PIO | F_WRITE, transfer }, { 0x34, F_PIO | F_WRITE | F_EXT, transfer }, { 0x35, F_WRITE | F_EXT, transfer },
	{ 0x39, F_PIO | F_WRITE | F_EXT | F_MULTIPLE, transfer }, { 0x3d, F_WRITE | F_EXT | F_FUA, transfer },
	{ 0x40, 0, verify }, { 0x42, F_EXT, verify },
	{ ATA_READ_QUEUED, F_QUEUED, transfer }, { ATA_WRITE_QUEUED, F_QUEUED | F_WRITE, transfer },
	{ 0xb0, 0, ata_smart },
	{ 0xc4, F_PIO | F_MULTIPLE, transfer }, { 0xc5, F_PIO | F_WRITE | F_MULTIPLE, transfer }, { 0xc6, 0, set_multiple },
	{ 0xc8, 0, transfer }, { 0xca, F_WRITE, transfer },
	{ 0xce, F_PIO | F_WRITE | F_EXT | F_MULTIPLE | F_FUA, transfer },
	{ 0xe7, 0, flush }, { 0xea, 0, flush }, { 0xec, 0, ata_identify },
};

const struct ata_command *
ata_disk_command(uint8_t command)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].command == command)
			return (&commands[i]);
	}
	return (NULL);
}
