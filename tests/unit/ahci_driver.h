/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci_driver.h - the driver's side of an AHCI controller, for tests: registers, command slots, FISes, and a disk at port 0 with a CD drive at
 * port 1.
 */
#ifndef _AHCI_DRIVER_H_
#define	_AHCI_DRIVER_H_

#include "pci_driver.h"

#define	R_CAP		0x00
#define	R_GHC		0x04
#define	R_IS		0x08
#define	R_PI		0x0c
#define	R_VS		0x10
#define	GHC_HR		1U
#define	GHC_IE		2U

#define	P_CLB		0x00
#define	P_CLBU		0x04
#define	P_FB		0x08
#define	P_FBU		0x0c
#define	P_IS		0x10
#define	P_IE		0x14
#define	P_CMD		0x18
#define	P_TFD		0x20
#define	P_SIG		0x24
#define	P_SSTS		0x28
#define	P_SCTL		0x2c
#define	P_SERR		0x30
#define	P_SACT		0x34
#define	P_CI		0x38
#define	CMD_ST		0x01U
#define	CMD_CLO		0x08U
#define	CMD_FRE		0x10U
#define	CMD_FR		0x4000U
#define	CMD_CR		0x8000U
#define	IS_DHRS		0x00000001U
#define	IS_PSS		0x00000002U
#define	IS_SDBS		0x00000008U
#define	IS_DPS		0x00000020U
#define	IS_PCS		0x00000040U
#define	IS_PRCS		0x00400000U
#define	IS_OFS		0x01000000U
#define	IS_IFS		0x08000000U
#define	IS_HBFS		0x20000000U
#define	IS_TFES		0x40000000U

/* Where what is in memory, for each port: its list, its FISes, a table for each slot; and data. */
#define	LIST_AT(p)	(0x100000ULL + 0x1000ULL * (p))
#define	FIS_AT(p)	(0x110000ULL + 0x1000ULL * (p))
#define	TABLE_AT(p, s)	(0x200000ULL + 0x40000ULL * (p) + 0x2000ULL * (s))
#define	DATA		0x400000ULL
#define	NOWHERE		0xe0000000ULL	/* no RAM */

#define	HD		0U
#define	CD		1U

enum {
	C_TRIM = 0x06, C_READ = 0x20, C_READ_EXT = 0x24, C_READ_DMA_EXT = 0x25, C_READ_MULTIPLE_EXT = 0x29, C_READ_LOG = 0x2f, C_WRITE = 0x30,
	C_WRITE_DMA_EXT = 0x35, C_WRITE_FUA = 0x3d, C_VERIFY_EXT = 0x42, C_READ_QUEUED = 0x60, C_WRITE_QUEUED = 0x61, C_DIAGNOSTIC = 0x90,
	C_PACKET = 0xa0, C_IDENTIFY_PACKET = 0xa1, C_SMART = 0xb0, C_READ_MULTIPLE = 0xc4, C_SET_MULTIPLE = 0xc6, C_READ_DMA = 0xc8,
	C_WRITE_DMA = 0xca, C_STANDBY = 0xe0, C_IDLE = 0xe1, C_CHECK_POWER = 0xe5, C_SLEEP = 0xe6, C_FLUSH = 0xe7, C_IDENTIFY = 0xec,
	C_FEATURES = 0xef,
};

/* A command, as a driver thinks of it. */
struct ata {
	uint8_t		 command, device;
	uint16_t	 feature, count;
	uint64_t	 lba;
	uint8_t		 cdb[12];
};

static inline uint64_t
ah_reg(unsigned off)
{
	return (cfg_bar(&fx, SLOT, 5) + off);
}

static inline uint32_t
ah_read(unsigned off)
{
	return ((uint32_t)fx_read(&fx, VM_SPACE_MEM, ah_reg(off), 4));
}

static inline void
ah_write(unsigned off, uint32_t val)
{
	fx_write(&fx, VM_SPACE_MEM, ah_reg(off), 4, val);
}

static inline uint32_t
pt_read(unsigned port, unsigned off)
{
	return (ah_read(0x100 + 0x80 * port + off));
}

static inline void
pt_write(unsigned port, unsigned off, uint32_t val)
{
	ah_write(0x100 + 0x80 * port + off, val);
}

/* A controller in f on h with these keys; NULL with a sentence. */
static inline struct device *
ah_make(struct fx *f, struct pci_host *h, const char *keys)
{
	return (px_make_with(f, h, "ahci", "sata", SLOT, f->irq, keys));
}

/* Where the driver's memory is, and receiving FISes. */
static inline void
pt_start(unsigned port)
{
	pt_write(port, P_CLB, (uint32_t)LIST_AT(port));
	pt_write(port, P_CLBU, 0);
	pt_write(port, P_FB, (uint32_t)FIS_AT(port));
	pt_write(port, P_FBU, 0);
	pt_write(port, P_SERR, UINT32_MAX);
	pt_write(port, P_CMD, CMD_FRE);
	pt_write(port, P_CMD, CMD_FRE | CMD_ST);
	pt_write(port, P_IS, UINT32_MAX);
}

/* After an error. */
static inline void
pt_restart(unsigned port)
{
	pt_write(port, P_CMD, CMD_FRE);
	CHECK_EQ(pt_read(port, P_CMD) & CMD_CR, 0);
	CHECK_EQ(pt_read(port, P_CI), 0);
	CHECK_EQ(pt_read(port, P_SACT), 0);
	pt_write(port, P_IS, UINT32_MAX);
	pt_write(port, P_CMD, CMD_FRE | CMD_ST);
}

static inline void
ah_open(const char *keys)
{
	fx_open(&fx);
	host = px_host(&fx);
	dev = ah_make(&fx, host, keys);
	pd_start();
}

static inline void
ah_header(unsigned port, unsigned slot, uint32_t flags, unsigned nprds)
{
	uint32_t *h = (uint32_t *)(void *)(ram + LIST_AT(port) + 32 * slot);

	h[0] = 5 | flags | nprds << 16;
	h[1] = 0;
	h[2] = (uint32_t)TABLE_AT(port, slot);
	h[3] = 0;
}

static inline void
ah_prd(unsigned port, unsigned slot, unsigned i, uint64_t gpa, uint32_t len)
{
	struct { uint64_t addr; uint32_t reserved, control; } *prd = (void *)(ram + TABLE_AT(port, slot) + 0x80);

	prd[i].addr = gpa;
	prd[i].reserved = 0;
	prd[i].control = len - 1;
}

/* A command into a slot, without its PRDs but with their number, without telling. */
static inline void
ah_put(unsigned port, unsigned slot, const struct ata *a, unsigned nprds)
{
	uint8_t *fis = ram + TABLE_AT(port, slot);

	memset(fis, 0, 0x80);
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = a->command;
	fis[3] = (uint8_t)a->feature;
	fis[11] = (uint8_t)(a->feature >> 8);
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(a->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(a->lba >> (24 + 8 * i));
	}
	fis[7] = a->device;
	fis[12] = (uint8_t)a->count;
	fis[13] = (uint8_t)(a->count >> 8);
	memcpy(fis + 0x40, a->cdb, sizeof(a->cdb));
	ah_header(port, slot, a->command == C_PACKET ? 0x20 : 0, nprds);
}

/* Wait until slots have left a register. */
static inline void
ah_wait(unsigned port, unsigned reg, uint32_t slots)
{
	for (unsigned i = 0; (pt_read(port, reg) & slots) != 0 && (pt_read(port, P_IS) & (IS_TFES | IS_HBFS | IS_OFS | IS_IFS)) == 0; i++) {
		CHECKF(i < 400000, "no end of %#x in port %u", slots, port);
		usleep(50);
	}
}

/* A command with one PRD of len bytes at gpa (0: none); the task file. */
static inline uint32_t
ah_do(unsigned port, const struct ata *a, uint64_t gpa, uint32_t len)
{
	ah_put(port, 0, a, len != 0);
	if (len != 0)
		ah_prd(port, 0, 0, gpa, len);
	pt_write(port, P_IS, UINT32_MAX);
	pt_write(port, P_CI, 1);
	ah_wait(port, P_CI, 1);
	return (pt_read(port, P_TFD));
}

/* The same for a read or write. */
static inline uint32_t
ah_rw(uint8_t command, uint64_t lba, unsigned sectors, uint64_t gpa, uint32_t len)
{
	struct ata a = { .command = command, .device = 0x40, .lba = lba, .count = (uint16_t)sectors };

	return (ah_do(HD, &a, gpa, len));
}

static inline uint32_t
ah_moved(unsigned port, unsigned slot)
{
	return (((uint32_t *)(void *)(ram + LIST_AT(port) + 32 * slot))[1]);
}

/* A packet command, of which the drive may say len bytes at DATA. */
static inline uint32_t
ah_packet(const uint8_t cdb[12], uint32_t len)
{
	struct ata a = { .command = C_PACKET, .feature = 1 };

	memcpy(a.cdb, cdb, sizeof(a.cdb));
	return (ah_do(CD, &a, DATA, len));
}
#define	PACKET(len, ...)	ah_packet((const uint8_t[12]){ __VA_ARGS__ }, (len))

/* A queued command into a slot, without telling. */
static inline void
ah_queue(unsigned slot, uint8_t command, uint64_t lba, unsigned sectors, uint64_t gpa)
{
	struct ata a = { .command = command, .device = 0x40, .lba = lba, .feature = (uint16_t)sectors, .count = (uint16_t)(slot << 3) };

	ah_put(HD, slot, &a, 1);
	ah_prd(HD, slot, 0, gpa, sectors * 512);
}

static inline void
ah_tell_queued(uint32_t slots)
{
	pt_write(HD, P_SACT, slots);
	pt_write(HD, P_CI, slots);
}

#endif /* _AHCI_DRIVER_H_ */
