/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ata_identify.c - what devices say about themselves: IDENTIFY DEVICE (ACS 7.12), IDENTIFY PACKET DEVICE (ACS 7.13), logs (ACS 9,
 * SATA 13.7) and SMART (ACS 7.48).
 */
#include <string.h>

#include "ahci.h"

#define	WORDS		(AHCI_SECTOR / 2)
#define	VALID		0x4000U		/* of words that say so in bits 15:14 */
#define	LBA28_MAX	0x0fffffffU
#define	SIGNATURE	0xa5U		/* word 255: a checksum follows */

/* SMART (ACS 7.48) */
enum {
	S_READ_DATA = 0xd0, S_READ_THRESHOLDS = 0xd1, S_AUTOSAVE = 0xd2, S_ENABLE = 0xd8, S_DISABLE = 0xd9, S_STATUS = 0xda,
};
#define	SMART_LBA	0xc24f00U
#define	SMART_MASK	0xffff00U

/* Logs (ACS 9) */
#define	LOG_DIRECTORY	0x00
#define	LOG_QUEUED	0x10

/* Two characters a word, the first in its high byte (ACS 3.4.9). */
static void
put_string(uint16_t *words, const char *text, size_t len)
{
	for (size_t i = 0; i < len / 2; i++)
		words[i] = (uint16_t)((uint8_t)text[2 * i] << 8 | (uint8_t)text[2 * i + 1]);
}

static void
put_number(uint16_t *words, uint64_t val, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		words[i] = (uint16_t)(val >> (16 * i));
}

/* A sector to the driver, by PIO. */
static int
put_sector(struct ahci_cmd *c, const void *sector)
{
	c->pio_in = true;
	return (ahci_put(c, sector, AHCI_SECTOR));
}

/* Words that both kinds of devices have. */
static void
identify_any(const struct ahci_port *p, uint16_t w[WORDS])
{
	unsigned kind = p->mode >> 3, bit = 0x100U << (p->mode & 7);

	put_string(w + 10, p->serial, sizeof(p->serial));
	put_string(w + 23, p->revision, sizeof(p->revision));
	put_string(w + 27, p->model, sizeof(p->model));
	w[49] = 0x0f00;			/* DMA, LBA, IORDY */
	w[50] = VALID;
	w[53] = 0x0006;			/* words 64 to 70 and 88 are valid */
	w[63] = (uint16_t)(0x0007 | (kind == 4 ? bit : 0));
	w[64] = 0x0003;
	w[65] = w[66] = w[67] = w[68] = 120;
	w[76] = 0x000e;			/* generations 1 to 3 */
	w[77] = 0x0006;			/* the third at work */
	w[80] = 0x07f0;			/* ATA 4 to ACS 3 */
	w[88] = (uint16_t)(0x007f | (kind == 8 ? bit : 0));
	w[222] = 0x107f;		/* serial, up to revision 3.1 */
}

static int
put_identity(struct ahci_cmd *c, uint16_t w[WORDS])
{
	w[255] = SIGNATURE;
	ata_checksum((uint8_t *)w);
	return (put_sector(c, w));
}

/* Geometry of the past, which old software still divides by. */
static void
identify_geometry(uint16_t w[WORDS], uint64_t sectors)
{
	uint64_t cylinders = sectors / (16 * 63);

	w[1] = (uint16_t)(cylinders > 16383 ? 16383 : cylinders);
	w[3] = 16;
	w[6] = 63;
	put_number(w + 60, sectors > LBA28_MAX ? LBA28_MAX : sectors, 2);
	put_number(w + 100, sectors, 4);
}

int
ata_identify(struct ahci_cmd *c, unsigned flags)
{
	const struct ahci_port *p = c->p;
	uint16_t w[WORDS] = { 0 };

	identify_any(p, w);
	identify_geometry(w, ata_sectors(p));
	w[0] = 0x0040;
	w[47] = 0x8000 | ATA_MULTIPLE_MAX;
	w[48] = VALID;
	w[59] = p->multiple != 0 ? 0x0100U | p->multiple : 0;
	w[75] = AHCI_SLOTS - 1;
	w[76] |= 0x0100;		/* queued commands */
	w[82] = 0x4069;			/* NOP, look-ahead, write cache, power, SMART */
	w[83] = VALID | 0x3400;		/* FLUSH CACHE (EXT), addresses of 48 bits */
	w[84] = VALID | 0x0060;		/* FUA, logs */
	w[85] = (uint16_t)(0x4008 | (p->smart ? 0x01 : 0) | (p->wcache ? 0x20 : 0) | (p->lookahead ? 0x40 : 0));
	w[86] = 0x8000 | 0x3400;	/* words 119 and 120 are valid */
	w[87] = VALID | 0x0060;
	w[106] = VALID;
	if (p->lbashift != 9) {
		w[106] |= 0x1000;
		put_number(w + 117, (1U << p->lbashift) / 2, 2);
	}
	w[119] = w[120] = VALID;
	if (p->discard) {
		w[105] = ATA_TRIM_BLOCKS;
		w[169] = 0x0001;
	}
	w[217] = p->rotation;
	return (put_identity(c, w));
}

int
ata_identify_packet(struct ahci_cmd *c, unsigned flags)
{
	uint16_t w[WORDS] = { 0 };

	identify_any(c->p, w);
	w[0] = 0x85c0;			/* packets of 12 bytes, a CD drive, its medium can go */
	w[82] = w[85] = 0x4218;		/* NOP, DEVICE RESET, PACKET, power */
	w[83] = w[84] = w[87] = VALID;
	return (put_identity(c, w));
}

/* Logs */

/* SATA 13.7.4: the command that failed, which then is over. */
static void
queued_log(struct ahci_port *p, uint8_t page[AHCI_SECTOR])
{
	const struct ata_queued_error *e = &p->failed;

	page[0] = e->valid ? e->tag : 0x80;	/* NQ: it was not a queued one */
	page[2] = e->status;
	page[3] = e->error;
	for (unsigned i = 0; i < 3; i++) {
		page[4 + i] = (uint8_t)(e->lba >> (8 * i));
		page[8 + i] = (uint8_t)(e->lba >> (24 + 8 * i));
	}
	page[7] = e->device;
	page[12] = (uint8_t)e->count;
	page[13] = (uint8_t)(e->count >> 8);
	ata_checksum(page);
	memset(&p->failed, 0, sizeof(p->failed));
}

/* READ LOG EXT (ACS 7.25): the directory, which has a version and how many pages each log has, and the log of queued errors. */
int
ata_read_log(struct ahci_cmd *c, unsigned flags)
{
	unsigned log = c->in.lba & 0xff, first = (unsigned)(c->in.lba >> 8 & 0xff) | (unsigned)(c->in.lba >> 32 & 0xff) << 8;
	uint8_t page[AHCI_SECTOR] = { 0 };

	if (c->in.count != 1 || first != 0 || (log != LOG_DIRECTORY && log != LOG_QUEUED) ||
	    (c->p->failed.valid && log != LOG_QUEUED))
		return (ATA_ABRT);
	if (log == LOG_QUEUED) {
		queued_log(c->p, page);
	} else {
		page[0] = 1;
		page[2 * LOG_QUEUED] = 1;
	}
	return (put_sector(c, page));
}

/* SMART */

/* ACS leaves these to the vendor; what everybody takes them for: attributes with an id, flags, value, worst value and six bytes. */
static void
put_attribute(uint8_t *a, uint8_t id, uint64_t raw)
{
	a[0] = id;
	a[1] = 0x02;			/* collected as the disk works */
	a[3] = a[4] = 100;
	for (unsigned i = 0; i < 6; i++)
		a[5 + i] = (uint8_t)(raw >> (8 * i));
}

static const uint8_t attribute_ids[] = { 0xbb, 0xf1, 0xf2 };	/* errors that were told, sectors written, sectors read */

static int
smart_data(struct ahci_cmd *c)
{
	const struct ahci_port *p = c->p;
	const uint64_t raw[] = { p->errors, p->writes, p->reads };
	uint8_t page[AHCI_SECTOR] = { 0x10 };

	for (unsigned i = 0; i < sizeof(attribute_ids); i++)
		put_attribute(page + 2 + 12 * i, attribute_ids[i], raw[i]);
	page[368] = 0x02;		/* capabilities: attributes are kept by themselves */
	ata_checksum(page);
	return (put_sector(c, page));
}

static int
smart_thresholds(struct ahci_cmd *c)
{
	uint8_t page[AHCI_SECTOR] = { 0x10 };

	for (unsigned i = 0; i < sizeof(attribute_ids); i++)
		page[2 + 12 * i] = attribute_ids[i];
	ata_checksum(page);
	return (put_sector(c, page));
}

int
ata_smart(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	uint8_t what = (uint8_t)c->in.feature;

	if ((c->in.lba & SMART_MASK) != SMART_LBA || (!p->smart && what != S_ENABLE))
		return (ATA_ABRT);
	switch (what) {
	case S_READ_DATA:
		return (smart_data(c));
	case S_READ_THRESHOLDS:
		return (smart_thresholds(c));
	case S_ENABLE:
	case S_DISABLE:
		p->smart = what == S_ENABLE;
		return (0);
	case S_AUTOSAVE:
	case S_STATUS:			/* no threshold is passed: the same in the registers as came */
		return (0);
	default:
		return (ATA_ABRT);
	}
}
