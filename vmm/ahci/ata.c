/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ata.c - commands that disks and CD drives share, and their resets (ACS 3, 6).
 */
#include "ahci.h"

/* Opcodes (ACS 7) */
enum {
	C_NOP = 0x00, C_DIAGNOSTIC = 0x90, C_STANDBY_NOW = 0xe0, C_IDLE_NOW = 0xe1, C_STANDBY = 0xe2, C_IDLE = 0xe3, C_CHECK_POWER = 0xe5,
	C_SLEEP = 0xe6, C_SET_FEATURES = 0xef,
};

/* SET FEATURES (ACS 7.45) */
enum { F_WCACHE = 0x02, F_MODE = 0x03, F_NO_LOOKAHEAD = 0x55, F_NO_WCACHE = 0x82, F_LOOKAHEAD = 0xaa, F_KEEP = 0x66, F_REVERT = 0xcc };

#define	MODE_UDMA6	0x46
#define	SPEED_STANDBY	0x00		/* ACS 7.3: CHECK POWER MODE */
#define	SPEED_IDLE	0x80
#define	SPEED_ACTIVE	0xff

void
ata_signature(const struct ahci_port *p, struct ata_regs *r)
{
	r->count = 1;
	r->lba = p->cd ? 0xeb1401 : 0x000001;
	r->device = 0;
}

void
ata_reset(struct ahci_port *p, bool hard)
{
	p->failed.valid = false;
	p->power = ATA_ACTIVE;
	p->multiple = 0;
	if (!hard)
		return;
	p->soft_reset = false;
	p->wcache = !p->writethrough;
	p->lookahead = true;
	p->smart = true;
	p->mode = MODE_UDMA6;
	if (p->cd)
		atapi_reset(p);
}

/* ACS 7.23: it fails by definition. */
static int
nop(struct ahci_cmd *c, unsigned flags)
{
	return (ATA_ABRT);
}

/* ACS 7.11: no error is code 1, which a driver looks for in the error register behind a command that did not fail. */
static int
diagnostic(struct ahci_cmd *c, unsigned flags)
{
	ata_signature(c->p, &c->out);
	c->code = ATA_PASSED;
	return (0);
}

/* ACS 7.51: what is in the cache becomes durable first.  There is no timer that would put it to sleep by itself. */
static int
power(struct ahci_cmd *c, unsigned mode)
{
	struct ahci_port *p = c->p;

	p->power = (uint8_t)mode;
	if (p->cd || mode == ATA_POWER_IDLE)
		return (0);
	return (ahci_flush(c));
}

static int
check_power(struct ahci_cmd *c, unsigned flags)
{
	static const uint8_t counts[] = { SPEED_ACTIVE, SPEED_IDLE, SPEED_STANDBY, SPEED_STANDBY };

	c->out.count = counts[c->p->power];
	return (0);
}

/* ACS 7.45.3: PIO default and flow control 3 and 4, multiword DMA 0 to 2, ultra DMA 0 to 6; none makes a difference. */
static int
set_mode(struct ahci_port *p, uint8_t mode)
{
	unsigned kind = mode >> 3, number = mode & 7;

	if (kind == 0 ? number > 1 : kind == 1 ? number > 4 : kind == 4 ? number > 2 : kind == 8 ? number > 6 : true)
		return (ATA_ABRT);
	if (kind >= 4)
		p->mode = mode;
	return (0);
}

static int
set_features(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	uint8_t feature = (uint8_t)c->in.feature;

	switch (feature) {
	case F_MODE:
		return (set_mode(p, (uint8_t)c->in.count));
	case F_KEEP:
	case F_REVERT:
		return (0);
	case F_WCACHE:
	case F_NO_WCACHE:
		if (p->cd)
			return (ATA_ABRT);
		p->wcache = feature == F_WCACHE;
		/* ACS 7.45.2: without a cache what was in it is durable. */
		return (p->wcache ? 0 : ahci_flush(c));
	case F_LOOKAHEAD:
	case F_NO_LOOKAHEAD:
		if (p->cd)
			return (ATA_ABRT);
		p->lookahead = feature == F_LOOKAHEAD;
		return (0);
	default:
		return (ATA_ABRT);
	}
}

static const struct ata_command commands[] = {
	{ C_NOP, 0, nop }, { C_DIAGNOSTIC, 0, diagnostic }, { C_STANDBY_NOW, ATA_STANDBY, power }, { C_IDLE_NOW, ATA_POWER_IDLE, power },
	{ C_STANDBY, ATA_STANDBY, power }, { C_IDLE, ATA_POWER_IDLE, power }, { C_CHECK_POWER, 0, check_power }, { C_SLEEP, ATA_SLEEP, power },
	{ C_SET_FEATURES, 0, set_features },
};

int
ata_execute(struct ahci_cmd *c)
{
	struct ahci_port *p = c->p;
	const struct ata_command *cmd = p->cd ? atapi_command(c->in.command) : ata_disk_command(c->in.command);

	for (unsigned i = 0; cmd == NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].command == c->in.command)
			cmd = &commands[i];
	}
	/* ACS 4.15.3.5: only a reset ends sleep.  A command that comes all the same is an error here and no wait without an end. */
	if (cmd == NULL || p->power == ATA_SLEEP)
		return (ATA_ABRT);
	c->queued = !p->cd && (c->in.command == ATA_READ_QUEUED || c->in.command == ATA_WRITE_QUEUED);
	/* SATA 13.6.4: after an error of a queued command only its log is read; 13.6.3: others do not mix with them, and end them. */
	if ((p->failed.valid && c->in.command != ATA_READ_LOG) || (!c->queued && p->queued != 0))
		return (ATA_ABRT);
	c->failure = ATA_ABRT | AHCI_FAULT;
	return (cmd->execute(c, cmd->flags));
}
