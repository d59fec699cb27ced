/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci_port.c - a port of the controller and the link to its device (AHCI 3.3, 5.3): commands out of its list, FISes to memory, resets.
 *
 * The device is on the other end of a function call, so nothing is ever on its way: PxCMD.CR follows PxCMD.ST, PxCMD.FR PxCMD.FRE, and a reset
 * that is begun has ended when its write returns, as it waits for what the image has.  A queued command leaves PxCI when it was
 * taken and PxSACT when it is done (AHCI 5.5.1); another one is busy until its register FIS is there.  Of FISes, those are written whose
 * arrival a driver can see in PxIS.
 */
#include <string.h>

#include "ahci.h"

/* Registers (AHCI 3.3) */
enum {
	P_CLB = 0x00, P_CLBU = 0x04, P_FB = 0x08, P_FBU = 0x0c, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20, P_SIG = 0x24, P_SSTS = 0x28,
	P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38, P_SNTF = 0x3c, P_FBS = 0x40,
};

#define	CMD_WRITABLE	0xf2000013U	/* ICC, DLAE, FRE, SUD, ST */
#define	CMD_SLOT(slot)	((slot) << 8)	/* CCS */
#define	CMD_CCS		0x00001f00U
#define	CMD_ICC		0xf0000000U
#define	SCTL_DET(v)	((v) & 15)
#define	SCTL_MASK	0xfffU
#define	SSTS_UP		0x133U		/* active, generation 3, a device is there */
#define	SSTS_OFF	0x004U
#define	TFD_NONE	0x7fU		/* AHCI 3.3.8, after a reset */

/* The received FIS structure (AHCI 4.2.1) */
#define	RFIS_PIO	0x20
#define	RFIS_D2H	0x40
#define	RFIS_SDB	0x58

/* FISes (SATA 10.3) */
#define	FIS_H2D		0x27
#define	FIS_D2H		0x34
#define	FIS_PIO		0x5f
#define	FIS_SDB		0xa1
#define	FIS_D2H_LEN	20
#define	FIS_IRQ		0x40U		/* byte 1 */
#define	FIS_TO_HOST	0x20U
#define	FIS_COMMAND	0x80U
#define	CONTROL_SRST	0x04U

/* A command header (AHCI 4.2.2), and where what is in its table (4.2.3) */
#define	HEADER_LEN	32
#define	HEADER_CFL(v)	((v) & 31)
#define	HEADER_CLEAR	0x400U		/* C: busy is cleared when the FIS was sent */
#define	HEADER_PRDTL(v)	((v) >> 16)
#define	TABLE_CDB	0x40
#define	TABLE_PRDT	0x80

static struct vmctx *
vm_of(const struct ahci_port *p)
{
	return (p->h->dev->vmm->vm);
}

static void
set_tfd(struct ahci_port *p, unsigned status, unsigned error)
{
	p->tfd = status | (error & 0xff) << 8;
}

/* FISes of the device.  What is under way completes with all that belongs to it while the bus is waited for (set_master()). */

static void
post(struct ahci_port *p, unsigned off, const void *fis, size_t len)
{
	if ((p->cmd & PCMD_FRE) != 0 && (p->h->master || p->flying != 0) && vm_gpa_write(vm_of(p), p->fb + off, fis, len) != 0) {
		p->is |= PIS_HBFS;
		p->halted = true;
		device_guest_log(p->h->dev, "port %u: its FISes go to %#llx, which is no RAM", p->n, (unsigned long long)p->fb);
	}
}

/* The registers of a device (SATA 10.3.6). */
static void
fill_regs(uint8_t fis[FIS_D2H_LEN], const struct ata_regs *r, uint32_t tfd)
{
	fis[2] = (uint8_t)tfd;
	fis[3] = (uint8_t)(tfd >> 8);
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(r->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(r->lba >> (24 + 8 * i));
	}
	fis[7] = r->device;
	fis[12] = (uint8_t)r->count;
	fis[13] = (uint8_t)(r->count >> 8);
}

static void
post_regs(struct ahci_port *p, const struct ata_regs *r, bool irq)
{
	uint8_t fis[FIS_D2H_LEN] = { FIS_D2H, irq ? FIS_IRQ : 0 };

	fill_regs(fis, r, p->tfd);
	post(p, RFIS_D2H, fis, sizeof(fis));
	if (irq)
		p->is |= PIS_DHRS;
}

/* SATA 10.3.11; the last one of a command is what stays. */
static void
post_pio(struct ahci_port *p, const struct ata_regs *r, uint32_t moved)
{
	uint8_t fis[FIS_D2H_LEN] = { FIS_PIO, FIS_IRQ | FIS_TO_HOST };
	uint32_t last = moved % AHCI_SECTOR == 0 && moved > AHCI_SECTOR ? AHCI_SECTOR : moved;

	fill_regs(fis, r, ATA_IDLE | ATA_DRQ);
	fis[15] = (uint8_t)p->tfd;
	fis[16] = (uint8_t)last;
	fis[17] = (uint8_t)(last >> 8);
	post(p, RFIS_PIO, fis, sizeof(fis));
	p->is |= PIS_PSS;
}

/* SATA 10.3.7 */
static void
post_bits(struct ahci_port *p, uint32_t done)
{
	uint8_t fis[8] = { FIS_SDB, FIS_IRQ, (uint8_t)(p->tfd & 0x77), (uint8_t)(p->tfd >> 8) };

	memcpy(fis + 4, &done, sizeof(done));
	post(p, RFIS_SDB, fis, sizeof(fis));
	p->is |= PIS_SDBS;
}

/* After a reset (AHCI 5.3.8.1, ACS 6): nobody is interrupted by it. */
static void
post_signature(struct ahci_port *p)
{
	struct ata_regs r = { 0 };

	ata_signature(p, &r);
	p->sig = (uint32_t)r.lba << 8 | (r.count & 0xffU);
	set_tfd(p, p->cd ? 0 : ATA_IDLE, ATA_PASSED);
	p->unposted = (p->cmd & PCMD_FRE) == 0;
	if (!p->unposted)
		post_regs(p, &r, false);
}

/* Commands */

/* AHCI 6.2.2: only clearing PxCMD.ST mends it. */
static void
halt(struct ahci_port *p, uint32_t bits)
{
	p->is |= bits;
	p->halted = true;
}

/* Status and error registers as a command leaves them. */
static void
set_result(struct ahci_cmd *c, int result)
{
	if (result == 0)
		set_tfd(c->p, ATA_IDLE, c->code);
	else
		set_tfd(c->p, ATA_DRDY | ATA_ERR | ((result & AHCI_FAULT) != 0 ? ATA_DF : ATA_DSC), (unsigned)result);
}

/* The device's answer to a command that is not queued (AHCI 5.6). */
static void
answer(struct ahci_cmd *c, int result)
{
	struct ahci_port *p = c->p;

	p->busy = false;
	set_result(c, result);
	if (result == 0 && c->pio_in)
		post_pio(p, &c->out, c->moved);
	else
		post_regs(p, &c->out, true);
	if (result != 0)
		halt(p, PIS_TFES);
	else
		p->ci &= ~(1U << c->slot);
}

/* The same for one that is (SATA 13.6.4): after an error it waits for its log to be read. */
static void
answer_queued(struct ahci_cmd *c, int result)
{
	struct ahci_port *p = c->p;
	uint32_t bit = 1U << c->slot;

	p->queued &= ~bit;
	p->ci &= ~bit;
	set_result(c, result);
	if (result == 0) {
		p->sact &= ~bit;
		post_bits(p, bit);
		return;
	}
	/* The first stays, until it was read. */
	if (!p->failed.valid) {
		p->failed = (struct ata_queued_error){
			.valid = true, .tag = (uint8_t)c->slot, .status = (uint8_t)p->tfd, .error = (uint8_t)(p->tfd >> 8),
			.device = c->out.device, .count = c->out.count, .lba = c->out.lba,
		};
	}
	post_bits(p, 0);
	halt(p, PIS_TFES);
}

void
ahci_complete(struct ahci_cmd *c, int result)
{
	struct ahci_port *p = c->p;

	/* Nobody is told of commands that an error or a reset ended. */
	if (p->stopping || p->halted) {
		p->queued &= ~(1U << c->slot);
		return;
	}
	if (result == AHCI_FATAL) {
		device_guest_log(p->h->dev, "port %u: command %#04x in slot %u %s", p->n, c->in.command, c->slot,
		    (c->fatal & PIS_OFS) != 0 ? "has more data than memory" : "has memory that is no RAM");
		p->busy = false;
		p->queued &= ~(1U << c->slot);
		set_tfd(p, ATA_IDLE, 0);
		halt(p, c->fatal);
		return;
	}
	/* AHCI 4.2.2: PRDBC is not for queued commands. */
	if (!c->queued && vm_gpa_write(vm_of(p), p->clb + c->slot * HEADER_LEN + 4, &c->moved, sizeof(c->moved)) != 0)
		halt(p, PIS_HBFS);
	if (c->prd_irq)
		p->is |= PIS_DPS;
	if (c->queued)
		answer_queued(c, result);
	else
		answer(c, result);
}

/* SRST (SATA 11.4): the device resets when it is set, and says who it is when it is cleared. */
static void
control(struct ahci_port *p, unsigned slot, uint8_t val, bool clear)
{
	bool was = p->soft_reset;

	p->ci &= ~(1U << slot);
	p->soft_reset = (val & CONTROL_SRST) != 0;
	if (p->soft_reset && !was) {
		ata_reset(p, false);
		set_tfd(p, clear ? ATA_IDLE : ATA_BSY | ATA_IDLE, 0);
	} else if (was && !p->soft_reset) {
		post_signature(p);
	}
}

/* The FIS of a command (SATA 10.3.4). */
static void
parse(struct ahci_cmd *c, const uint8_t fis[FIS_D2H_LEN])
{
	c->in.command = fis[2];
	c->in.feature = (uint16_t)(fis[3] | fis[11] << 8);
	c->in.lba = 0;
	for (unsigned i = 0; i < 3; i++)
		c->in.lba |= (uint64_t)fis[4 + i] << (8 * i) | (uint64_t)fis[8 + i] << (24 + 8 * i);
	c->in.device = fis[7];
	c->in.count = (uint16_t)(fis[12] | fis[13] << 8);
	c->out = c->in;
}

static void
execute(struct ahci_cmd *c)
{
	struct ahci_port *p = c->p;
	int result = ata_execute(c);

	if (result != AHCI_LATER) {
		ahci_complete(c, result);
		ahci_cmd_put(c);
	} else if (c->queued) {
		p->ci &= ~(1U << c->slot);
		p->queued |= 1U << c->slot;
	} else {
		p->busy = true;
		set_tfd(p, ATA_BSY | ATA_IDLE, 0);
	}
}

/* The driver's stores came before PxCI's; that is no order that the thread sanitizer could see. */
static __attribute__((no_sanitize("thread"))) bool
read_guest(const struct ahci_port *p, vm_paddr_t gpa, void *buf, size_t len)
{
	const void *from = gpa + len > gpa ? vm_map_read(vm_of(p), gpa, len) : NULL;

	if (from != NULL)
		memcpy(buf, from, len);
	return (from != NULL);
}

/* Take the command of a slot. */
static void
take(struct ahci_port *p, unsigned slot)
{
	uint8_t fis[FIS_D2H_LEN];
	uint32_t header[4];
	uint64_t table;
	struct ahci_cmd *c;

	p->cmd = (p->cmd & ~CMD_CCS) | CMD_SLOT(slot);
	p->turn = (slot + 1) % AHCI_SLOTS;
	if (!read_guest(p, p->clb + slot * HEADER_LEN, header, sizeof(header))) {
		halt(p, PIS_HBFS);
		return;
	}
	table = (header[2] | (uint64_t)header[3] << 32) & ~0x7fULL;
	if (!read_guest(p, table, fis, sizeof(fis))) {
		halt(p, PIS_HBFS);
		return;
	}
	if (HEADER_CFL(header[0]) < 2 || HEADER_CFL(header[0]) > 16 || fis[0] != FIS_H2D) {
		device_guest_log(p->h->dev, "port %u: slot %u has no command: FIS %#04x", p->n, slot, fis[0]);
		halt(p, PIS_IFS);
		return;
	}
	if ((fis[1] & FIS_COMMAND) == 0) {
		control(p, slot, fis[15], (header[0] & HEADER_CLEAR) != 0);
		return;
	}
	c = ahci_cmd_get(p);
	if (c == NULL) {
		halt(p, PIS_IFS);
		return;
	}
	c->slot = slot;
	c->nprds = HEADER_PRDTL(header[0]);
	c->table = table + TABLE_PRDT;
	if (!read_guest(p, table + TABLE_CDB, c->cdb, sizeof(c->cdb))) {
		halt(p, PIS_HBFS);
		ahci_cmd_put(c);
		return;
	}
	parse(c, fis);
	execute(c);
}

static bool
works(const struct ahci_port *p)
{
	return (p->h->active && p->h->master && !p->stopping && !p->halted && !p->busy && (p->cmd & PCMD_ST) != 0 && p->ssts == SSTS_UP);
}

/* AHCI 5.3.2.3: slots in turn.  It ends, as PxCI does not grow while the lock is held. */
void
ahci_port_run(struct ahci_port *p)
{
	uint32_t was = p->h->is;

	while (works(p) && p->ci != 0) {
		unsigned slot = p->turn;

		while ((p->ci >> slot & 1) == 0)
			slot = (slot + 1) % AHCI_SLOTS;
		take(p, slot);
	}
	ahci_update(p->h, was);
}

/* Resets */

void
ahci_port_wait(struct ahci_port *p)
{
	while (p->flying != 0)
		pthread_cond_wait(&p->h->idle, &p->h->lock);
}

void
ahci_port_stop(struct ahci_port *p)
{
	p->stopping = true;
	ahci_port_wait(p);
	p->stopping = false;
	if (p->busy)
		set_tfd(p, ATA_IDLE, 0);
	p->busy = false;
	p->queued = 0;
	p->halted = false;
	p->ci = p->sact = 0;
	p->turn = 0;
	p->cmd &= ~CMD_CCS;
}

/* The link is down, by reset or for ever. */
static void
link_down(struct ahci_port *p, uint32_t ssts)
{
	p->ssts = ssts;
	p->sig = UINT32_MAX;
	p->tfd = TFD_NONE;
	p->unposted = false;
}

/* COMINIT, and the device's first FIS (AHCI 10.4.2). */
static void
link_up(struct ahci_port *p)
{
	link_down(p, 0);
	if (!p->present)
		return;
	p->ssts = SSTS_UP;
	p->serr |= SERR_X | SERR_N;
	ata_reset(p, true);
	post_signature(p);
}

void
ahci_port_reset(struct ahci_port *p, bool all)
{
	if (all)
		p->clb = p->fb = 0;
	p->is = p->ie = p->sctl = p->serr = p->sact = p->ci = 0;
	p->cmd = PCMD_SUD | PCMD_POD | (p->cd ? PCMD_ATAPI : 0);
	p->turn = 0;
	p->halted = p->busy = false;
	p->queued = 0;
	link_up(p);
}

/* AHCI 3.3.11: 1 is COMRESET as long as it is there, 4 switches the port off, and 0 behind either has the device come up. */
static void
set_sctl(struct ahci_port *p, uint32_t val)
{
	unsigned was = SCTL_DET(p->sctl), now = SCTL_DET(val);

	p->sctl = val & SCTL_MASK;
	if (was == now)
		return;
	ahci_port_stop(p);
	if (now == 1)
		link_down(p, 0);
	else if (now == 4)
		link_down(p, SSTS_OFF);
	else
		link_up(p);
}

/* AHCI 3.3.7, 10.3 */
static void
set_cmd(struct ahci_port *p, uint32_t val)
{
	uint32_t was = p->cmd;

	p->cmd = (p->cmd & ~CMD_WRITABLE) | (val & CMD_WRITABLE & ~CMD_ICC) | PCMD_SUD;
	p->cmd = (p->cmd & ~(PCMD_CR | PCMD_FR)) | ((val & PCMD_ST) != 0 ? PCMD_CR : 0) | ((val & PCMD_FRE) != 0 ? PCMD_FR : 0);
	if ((was & PCMD_ST) != 0 && (val & PCMD_ST) == 0)
		ahci_port_stop(p);
	if ((val & PCMD_CLO) != 0)
		p->tfd &= ~(ATA_BSY | ATA_DRQ);
	if ((p->cmd & PCMD_FRE) != 0 && p->unposted)
		post_signature(p);
}

/* Registers */

uint32_t
ahci_port_is(const struct ahci_port *p)
{
	return (p->is | ((p->serr & SERR_X) != 0 ? PIS_PCS : 0) | ((p->serr & SERR_N) != 0 ? PIS_PRCS : 0));
}

uint32_t
ahci_port_read(const struct ahci_port *p, unsigned off)
{
	switch (off) {
	case P_CLB:
		return ((uint32_t)p->clb);
	case P_CLBU:
		return ((uint32_t)(p->clb >> 32));
	case P_FB:
		return ((uint32_t)p->fb);
	case P_FBU:
		return ((uint32_t)(p->fb >> 32));
	case P_IS:
		return (ahci_port_is(p));
	case P_IE:
		return (p->ie);
	case P_CMD:
		return (p->cmd);
	case P_TFD:
		return (p->tfd);
	case P_SIG:
		return (p->sig);
	case P_SSTS:
		return (p->ssts);
	case P_SCTL:
		return (p->sctl);
	case P_SERR:
		return (p->serr);
	case P_SACT:
		return (p->sact);
	case P_CI:
		return (p->ci);
	default:
		return (0);
	}
}

static void
set_half(uint64_t *reg, bool high, uint32_t val)
{
	*reg = high ? (*reg & UINT32_MAX) | (uint64_t)val << 32 : (*reg & ~(uint64_t)UINT32_MAX) | val;
}

void
ahci_port_write(struct ahci_port *p, unsigned off, uint32_t val)
{
	switch (off) {
	case P_CLB:
	case P_CLBU:
		set_half(&p->clb, off == P_CLBU, off == P_CLB ? val & ~0x3ffU : val);
		break;
	case P_FB:
	case P_FBU:
		set_half(&p->fb, off == P_FBU, off == P_FB ? val & ~0xffU : val);
		break;
	case P_IS:
		p->is &= ~val;
		break;
	case P_IE:
		p->ie = val & PIS_MASK;
		break;
	case P_CMD:
		set_cmd(p, val);
		break;
	case P_SCTL:
		set_sctl(p, val);
		break;
	case P_SERR:
		p->serr &= ~val;
		break;
	case P_SACT:
		/* AHCI 3.3.13: only while the port runs, as PxCI */
		if ((p->cmd & PCMD_ST) != 0)
			p->sact |= val;
		break;
	case P_CI:
		if ((p->cmd & PCMD_ST) != 0)
			p->ci |= val;
		break;
	default:
		break;
	}
	ahci_port_run(p);
}
