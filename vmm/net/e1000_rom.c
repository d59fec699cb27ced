/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_rom.c - the serial EEPROM of the gigabit controller (chapter 5), by EERD and by its wires, and its PHY (13.4.7.1), a Marvell M88E1011
 * by its identity.
 *
 * The EEPROM is a Microwire part of 64 words: selected, it takes a start bit, two bits of operation and six of address on rising edges of
 * the clock, and gives a 0 and then words, most significant bit first.  What is written to it lasts as long as the VM.
 */
#include <string.h>

#include "e1000.h"

/* Words (5.6) */
enum { W_COMPAT = 0x03, W_PBA = 0x08, W_CONTROL1 = 0x0a, W_SUBSYSTEM = 0x0b, W_SUBVENDOR = 0x0c, W_DEVICE = 0x0d, W_VENDOR = 0x0e,
	W_CONTROL2 = 0x0f, W_CHECKSUM = 0x3f };
#define	COPPER		0x0000U
#define	CONTROL1	0x4c03U		/* table 5-19: valid (bits 15:14 are 01), no wake-up; identities are those of the words below */
#define	CONTROL1_VALID(w) (((w) & 0xc000) == 0x4000)
#define	SUM		0xbabaU		/* 5.6.35: of all words */

/* Microwire: operations, behind a start bit, and their lengths with 16 bits of data for a write. */
#define	OP_BITS		9U
#define	OP_WRITE_BITS	(OP_BITS + 16)
enum { OP_OTHER, OP_WRITE, OP_READ, OP_ERASE };
enum { OTHER_DISABLE, OTHER_WRITE_ALL, OTHER_ERASE_ALL, OTHER_ENABLE };	/* upper two bits of the address */

/* PHY (13.4.7.1) */
#define	PHY_ADDR	1U
enum { PSTATUS = 1, PHYID1, PHYID2, ANA, LPA, ANE, GCON = 9, GSTATUS, ESTATUS = 15, PSCON, PSSTAT, PINTE, PINTS, EPSCON };
#define	PCTRL_RESET	0x8000U
#define	PCTRL_AN	0x1000U
#define	PCTRL_DOWN	0x0800U
#define	PCTRL_ISOLATE	0x0400U
#define	PCTRL_RESTART	0x0200U
#define	PSTATUS_FIXED	0x7949U		/* all of 10 and 100 Mb/s, ESTATUS, negotiation, extended registers */
#define	PSTATUS_AN_DONE	0x0020U
#define	PSTATUS_LINK	0x0004U
#define	PSSTAT_1000_FD	0xa800U		/* speed, duplex, both resolved */
#define	PSSTAT_LINK	0x0400U

/* EEPROM */

void
e1000_eeprom_init(struct e1000 *e)
{
	const uint8_t *mac = e->net->mac;
	uint16_t sum = 0;

	memset(e->eeprom, 0xff, sizeof(e->eeprom));
	for (unsigned i = 0; i < 3; i++)
		e->eeprom[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
	e->eeprom[W_COMPAT] = COPPER;
	e->eeprom[W_CONTROL1] = CONTROL1;
	e->eeprom[W_SUBSYSTEM] = e->device_id;
	e->eeprom[W_SUBVENDOR] = e->eeprom[W_VENDOR] = E1000_VENDOR;
	e->eeprom[W_DEVICE] = e->device_id;
	e->eeprom[W_CONTROL2] = 0;
	for (unsigned i = 0; i < W_CHECKSUM; i++)
		sum = (uint16_t)(sum + e->eeprom[i]);
	e->eeprom[W_CHECKSUM] = (uint16_t)(SUM - sum);
	e->ee_in = e->ee_count = e->ee_out = e->ee_left = 0;
	e->ee_do = e->ee_writable = false;
}

/* 5.6.1, 13.5.2: the first receive address. */
void
e1000_eeprom_load(struct e1000 *e)
{
	if (!CONTROL1_VALID(e->eeprom[W_CONTROL1]))
		return;
	e->ra[0] = e->eeprom[0] | (uint32_t)e->eeprom[1] << 16;
	e->ra[1] = e->eeprom[2] | E1000_RAH_AV;
}

/* 13.4.4: done at once. */
void
e1000_eerd_write(struct e1000 *e, uint32_t val)
{
	uint32_t word = val >> 8 & 0xff;

	e->eerd = val & 0xff00;
	if ((val & E1000_EERD_START) != 0)
		e->eerd |= E1000_EERD_DONE | (uint32_t)(word < E1000_EEPROM_WORDS ? e->eeprom[word] : 0xffff) << 16;
}

/* A word at its address, or all. */
static void
ee_store(struct e1000 *e, unsigned word, bool all, uint16_t v)
{
	for (unsigned i = 0; i < E1000_EEPROM_WORDS && e->ee_writable; i++) {
		if (all || i == word)
			e->eeprom[i] = v;
	}
	e->ee_do = true;		/* ready */
}

/* Operation and address are there, or with a write its data. */
static void
ee_execute(struct e1000 *e)
{
	bool data = e->ee_count == OP_WRITE_BITS;
	uint32_t op = e->ee_in >> (data ? 16 : 0);
	unsigned word = op & (E1000_EEPROM_WORDS - 1), other = op >> 4 & 3;

	switch (op >> 6 & 3) {
	case OP_READ:
		if (!data) {
			e->ee_out = e->eeprom[word];
			e->ee_left = 16;
			e->ee_do = false;
		}
		break;
	case OP_WRITE:
		if (data)
			ee_store(e, word, false, (uint16_t)e->ee_in);
		break;
	case OP_ERASE:
		if (!data)
			ee_store(e, word, false, 0xffff);
		break;
	default:
		if (other == OTHER_ENABLE || other == OTHER_DISABLE)
			e->ee_writable = other == OTHER_ENABLE;
		else if (other == OTHER_ERASE_ALL && !data)
			ee_store(e, 0, true, 0xffff);
		else if (other == OTHER_WRITE_ALL && data)
			ee_store(e, 0, true, (uint16_t)e->ee_in);
		break;
	}
}

/* A rising edge of the clock while it is selected. */
static void
ee_clock(struct e1000 *e, bool di)
{
	if (e->ee_left != 0) {
		e->ee_do = (e->ee_out >> (e->ee_left - 1) & 1) != 0;
		/* Those that read on get the following words. */
		if (--e->ee_left == 0) {
			e->ee_in = (e->ee_in & ~(E1000_EEPROM_WORDS - 1)) | ((e->ee_in + 1) & (E1000_EEPROM_WORDS - 1));
			e->ee_out = e->eeprom[e->ee_in & (E1000_EEPROM_WORDS - 1)];
			e->ee_left = 16;
		}
		return;
	}
	/* Zeros before the start bit are nothing. */
	if (e->ee_count == OP_WRITE_BITS || (e->ee_count == 0 && !di))
		return;
	e->ee_in = e->ee_in << 1 | di;
	e->ee_count++;
	if (e->ee_count == OP_BITS || e->ee_count == OP_WRITE_BITS)
		ee_execute(e);
}

/* 13.4.3, 5.3.1: the wires are the driver's once they are granted. */
void
e1000_eecd_write(struct e1000 *e, uint32_t val)
{
	uint32_t was = e->eecd;

	e->eecd = val & (E1000_EECD_SK | E1000_EECD_CS | E1000_EECD_DI | E1000_EECD_FWE | E1000_EECD_REQ);
	if ((val & E1000_EECD_REQ) == 0)
		e->eecd &= ~(E1000_EECD_SK | E1000_EECD_CS | E1000_EECD_DI);
	if ((e->eecd & E1000_EECD_CS) == 0) {
		e->ee_in = e->ee_count = e->ee_left = 0;
		return;
	}
	if ((was & E1000_EECD_SK) == 0 && (e->eecd & E1000_EECD_SK) != 0)
		ee_clock(e, (e->eecd & E1000_EECD_DI) != 0);
}

uint32_t
e1000_eecd_read(const struct e1000 *e)
{
	return (e->eecd | E1000_EECD_PRES | ((e->eecd & E1000_EECD_REQ) != 0 ? E1000_EECD_GNT : 0) | (e->ee_do ? E1000_EECD_DO : 0));
}

/* PHY */

bool
e1000_phy_link(const struct e1000 *e)
{
	return (e->link && (e->phy[E1000_PHY_PCTRL] & (PCTRL_DOWN | PCTRL_ISOLATE)) == 0);
}

void
e1000_phy_reset(struct e1000 *e)
{
	memset(e->phy, 0, sizeof(e->phy));
	e->phy[E1000_PHY_PCTRL] = 0x1140;	/* 1000 Mb/s, full duplex, negotiated */
	e->phy[PHYID1] = 0x0141;
	e->phy[PHYID2] = 0x0c20;
	e->phy[ANA] = 0x0de1;
	e->phy[GCON] = 0x0e00;
	e->phy[ESTATUS] = 0x3000;
	e->phy[PSCON] = 0x0068;
	e->phy[EPSCON] = 0x0d60;
	e->phy_lost = true;
}

/* What the partner can, of which there is none while the link is down. */
static uint16_t
phy_read(struct e1000 *e, unsigned reg)
{
	bool link = e1000_phy_link(e), an = (e->phy[E1000_PHY_PCTRL] & PCTRL_AN) != 0;
	uint16_t v;

	switch (reg) {
	case PSTATUS:			/* a lost link is told once (802.3 22.2.4.2.13) */
		v = (uint16_t)(PSTATUS_FIXED | (link && an ? PSTATUS_AN_DONE : 0) | (link && !e->phy_lost ? PSTATUS_LINK : 0));
		e->phy_lost = !link;
		return (v);
	case LPA:
		return (link && an ? 0x4de1 : 0);
	case ANE:
		return (link && an ? 0x0003 : 0);	/* the partner negotiates, and gave a page */
	case GSTATUS:
		return (link && an ? 0x3c00 : 0);	/* 1000 Mb/s, both duplexes; both receivers are well */
	case PSSTAT:
		return ((uint16_t)(PSSTAT_1000_FD | (link ? PSSTAT_LINK : 0)));
	case PINTS:
		v = e->phy[PINTS];
		e->phy[PINTS] = 0;
		return (v);
	default:
		return (e->phy[reg]);
	}
}

static void
phy_write(struct e1000 *e, unsigned reg, uint16_t v)
{
	switch (reg) {
	case E1000_PHY_PCTRL:
		if ((v & PCTRL_RESET) != 0) {
			e1000_phy_reset(e);
			e1000_cause(e, E1000_INT_LSC);
			break;
		}
		e->phy[reg] = v & (uint16_t)~PCTRL_RESTART;
		/* The link goes down for as long as the negotiation takes. */
		if ((v & (PCTRL_RESTART | PCTRL_DOWN | PCTRL_ISOLATE)) != 0) {
			e->phy_lost = true;
			e1000_cause(e, E1000_INT_LSC);
		}
		break;
	case PSTATUS:
	case PHYID1:
	case PHYID2:
	case LPA:
	case ANE:
	case GSTATUS:
	case ESTATUS:
	case PSSTAT:
	case PINTS:
		break;
	default:
		e->phy[reg] = v;
		break;
	}
}

/* 13.4.7 */
void
e1000_mdic_write(struct e1000 *e, uint32_t val)
{
	unsigned reg = val >> 16 & 31, op = val >> 26 & 3;

	e->mdic = (val & 0x2fffffffU) | E1000_MDIC_READY;
	if ((val >> 21 & 31) != PHY_ADDR || op == 0 || op == 3)
		e->mdic |= E1000_MDIC_ERROR;
	else if (op == 1)
		phy_write(e, reg, (uint16_t)val);
	else
		e->mdic = (e->mdic & ~0xffffU) | phy_read(e, reg);
	if ((val & E1000_MDIC_INT) != 0)
		e1000_cause(e, E1000_INT_MDAC);
}
