/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.h - between the files of the AHCI controller: ahci.c (registers of the HBA and its life), ahci_port.c (ports: commands, FISes, resets),
 * ahci_data.c (guest memory by PRDs, requests to images), ata.c (commands of any ATA device), ata_disk.c (of disks), ata_identify.c (what
 * devices say about themselves) and atapi.c (packet commands of a CD drive).
 *
 * AHCI n is a section of the Serial ATA AHCI specification 1.3.1, SATA n of Serial ATA 3.1, ACS n of ATA/ATAPI Command Set 3, SPC n and MMC n
 * of SCSI Primary Commands 4 and Multi-Media Commands 6.  Numbers in guest memory are little-endian, as the host's; those of packet commands
 * are big-endian.
 *
 * h->lock guards everything but a command in flight, which is the image's.  All functions below are called with it held, but for the copies
 * from and to guest memory, which do not care.  Order: the PCI segment's, h->lock, then the function's and the image's.
 */
#ifndef _HYVE_AHCI_H_
#define	_HYVE_AHCI_H_

#include <stdbool.h>
#include <stdint.h>

#include "../block/block.h"
#include "../pci/pci.h"

#define	AHCI_PORTS	6U
#define	AHCI_SLOTS	32U
#define	AHCI_SEGS_MAX	256U		/* a sector of 512 bytes in the smallest PRDs, which have 2 (AHCI 4.2.3.3) */
#define	AHCI_SECTOR	512U		/* of logs and of what a device says about itself */
#define	AHCI_CD_SECTOR	2048U
#define	AHCI_SCRATCH	131072U		/* bytes of a command's memory for data that nobody wants */
#define	ATA_TRIM_BLOCKS	8U		/* ACS word 105: of a DATA SET MANAGEMENT command */
#define	ATA_TRIM_RANGES	(ATA_TRIM_BLOCKS * AHCI_SECTOR / 8)
#define	ATA_RANGE_LBA(r) ((r) & 0xffffffffffffULL)	/* of a range (ACS 7.10.3.1), and how many sectors it has */
#define	ATA_RANGE_LEN(r) ((r) >> 48)
#define	ATA_MULTIPLE_MAX 16U
#define	ATA_FIRMWARE	"001"

/* PxIS and PxIE (AHCI 3.3.5) */
#define	PIS_DHRS	0x00000001U	/* register FIS of the device */
#define	PIS_PSS		0x00000002U	/* PIO Setup FIS */
#define	PIS_SDBS	0x00000008U	/* Set Device Bits FIS */
#define	PIS_DPS		0x00000020U	/* a PRD that said so was processed */
#define	PIS_PCS		0x00000040U	/* a device came: PxSERR.DIAG.X */
#define	PIS_PRCS	0x00400000U	/* PxSERR.DIAG.N */
#define	PIS_OFS		0x01000000U	/* more data than PRDs */
#define	PIS_IFS		0x08000000U	/* interface fatal error */
#define	PIS_HBFS	0x20000000U	/* host bus fatal error */
#define	PIS_TFES	0x40000000U	/* task file error */
#define	PIS_MASK	0xfdc000ffU	/* those that exist */

/* PxCMD (AHCI 3.3.7) */
#define	PCMD_ST		0x00000001U
#define	PCMD_SUD	0x00000002U
#define	PCMD_POD	0x00000004U
#define	PCMD_CLO	0x00000008U
#define	PCMD_FRE	0x00000010U
#define	PCMD_FR		0x00004000U
#define	PCMD_CR		0x00008000U
#define	PCMD_ATAPI	0x01000000U
#define	PCMD_DLAE	0x02000000U

/* PxSERR (AHCI 3.3.12) */
#define	SERR_N		0x00010000U
#define	SERR_X		0x04000000U
#define	SERR_MASK	0x07ff0f03U

/* Status and error registers (ACS 6) */
#define	ATA_BSY		0x80U
#define	ATA_DRDY	0x40U
#define	ATA_DF		0x20U
#define	ATA_DSC		0x10U
#define	ATA_DRQ		0x08U
#define	ATA_ERR		0x01U
#define	ATA_IDLE	(ATA_DRDY | ATA_DSC)
#define	ATA_UNC		0x40		/* error */
#define	ATA_IDNF	0x10
#define	ATA_ABRT	0x04
#define	ATA_PASSED	0x01		/* by a diagnosis: all is well */
#define	ATA_DEVICE_LBA	0x40U		/* device */
#define	ATA_DEVICE_FUA	0x80U		/* of queued commands */

/* Opcodes that matter to more than their own file. */
#define	ATA_READ_LOG	0x2f
#define	ATA_READ_QUEUED	0x60
#define	ATA_WRITE_QUEUED 0x61

/* What came of a command: 0, an error register, or these. */
enum {
	AHCI_LATER = -1,	/* an image is at work on it */
	AHCI_FATAL = -2,	/* the HBA failed: c->fatal */
	AHCI_FAULT = 0x100,	/* the device did: bit besides the error register */
};

/* Registers of an ATA device. */
struct ata_regs {
	uint16_t	feature, count;
	uint64_t	lba;
	uint8_t		device, command;
};

/* An error of a queued command, for the log (SATA 13.7.4). */
struct ata_queued_error {
	bool		 valid;
	uint8_t		 tag, status, error, device;
	uint16_t	 count;
	uint64_t	 lba;
};

/* SPC 4.5 */
struct atapi_sense {
	uint8_t		 key, code, qualifier;
};

enum ata_power { ATA_ACTIVE, ATA_POWER_IDLE, ATA_STANDBY, ATA_SLEEP };

struct ahci;
struct ahci_cmd;

/* A port and the device at it. */
struct ahci_port {
	struct ahci	*h;
	unsigned	 n;
	/* fixed */
	struct block	*image;		/* NULL: no device, or a CD drive without a medium */
	bool		 present, cd, discard, writethrough;
	uint8_t		 lbashift;
	uint16_t	 rotation;	/* ACS word 217 */
	char		 serial[20], revision[8], model[40];
	/* of the moment; nothing of it is while the device is paused */
	unsigned	 flying;	/* commands that the image has */
	bool		 stopping;	/* they complete without telling */
	bool		 busy;		/* one of them is not queued */
	uint32_t	 queued;	/* those that are: bits of tags */
	/* state: registers */
	uint64_t	 clb, fb;
	uint32_t	 is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
	uint32_t	 turn;		/* the slot to begin with */
	bool		 halted;	/* by an error, until PxCMD.ST is cleared (AHCI 6.2.2) */
	bool		 unposted;	/* a signature that PxCMD.FRE keeps from memory */
	/* state: the device */
	bool		 soft_reset;	/* SRST is set */
	bool		 wcache, lookahead, smart;
	uint8_t		 multiple;	/* sectors of READ MULTIPLE, 0: not set */
	uint8_t		 mode;		/* as SET FEATURES takes it (ACS 7.45.3) */
	uint8_t		 power;		/* enum ata_power */
	struct ata_queued_error failed;
	uint64_t	 reads, writes, errors;	/* sectors, and commands that the image failed */
	/* state: the CD drive */
	struct atapi_sense sense;
	uint8_t		 attention;	/* code of a unit attention to be told; 0: none */
	uint8_t		 event;		/* of the medium, to be told (MMC 6.6) */
	bool		 open, locked;	/* the tray */
};

/* A command that was taken from its slot. */
struct ahci_cmd {
	struct block_req req;
	struct ahci_port *p;
	unsigned	 slot;
	struct ata_regs	 in;
	struct ata_regs	 out;		/* for the FIS at its end */
	uint8_t		 cdb[16];
	bool		 queued;
	bool		 pio_in;	/* data comes by PIO */
	bool		 sync;		/* a flush follows */
	uint8_t		 code;		/* for the error register, of a command that does not fail */
	int		 failure;	/* what a failure of the image is to the device */
	uint32_t	 fatal;		/* bits of PxIS */
	/* Guest memory: where the next byte goes. */
	uint64_t	 table;		/* the PRDs */
	uint32_t	 nprds, prd, prdoff;
	bool		 prd_irq;
	uint32_t	 moved;		/* bytes, for PRDBC */
	uint8_t		*scratch;	/* instead of guest memory: nobody wants the data; owned */
	/* What the image still has to do. */
	uint64_t	 off, left;
	unsigned	 nranges, nextrange;
	unsigned	 nsegs, nws;
	struct ahci_cmd	*next;		/* free */
	union {
		struct {
			struct iovec	iov[AHCI_SEGS_MAX];
			struct vm_wsec	ws[AHCI_SEGS_MAX];
		};
		uint64_t	range[ATA_TRIM_RANGES];
	};
};

struct ahci {
	struct pci_fn	 fn;
	struct device	*dev;
	pthread_mutex_t	 lock;
	pthread_cond_t	 idle;		/* a port's flying is 0, or changing is false */
	uint32_t	 ports;		/* bits: PI */
	/* of the moment */
	bool		 active;	/* between resume and pause */
	bool		 master;	/* of the bus */
	bool		 changing;	/* somebody waits in the middle of a write */
	struct ahci_cmd	*free;
	unsigned	 nfree;
	/* state */
	bool		 ie;		/* GHC.IE */
	uint32_t	 is;
	struct ahci_port port[AHCI_PORTS];
};

/* ahci.c: the interrupt follows the ports.  was: bits of IS that a message was sent for. */
void	ahci_update(struct ahci *h, uint32_t was);

/* ahci_port.c */

uint32_t ahci_port_read(const struct ahci_port *p, unsigned off);
/* The lock is let go while requests under way are waited for. */
void	ahci_port_write(struct ahci_port *p, unsigned off, uint32_t val);
/* PxIS as it reads. */
uint32_t ahci_port_is(const struct ahci_port *p);
/* Take commands as long as there are any that can be executed; interrupts. */
void	ahci_port_run(struct ahci_port *p);
/* The end of a command that was taken: result as above. */
void	ahci_complete(struct ahci_cmd *c, int result);
/* Drop what is under way, when it has ended.  The lock is let go meanwhile. */
void	ahci_port_stop(struct ahci_port *p);
/* Power-on values of registers (all: also addresses) and of the device, whose signature arrives.  Nothing is under way. */
void	ahci_port_reset(struct ahci_port *p, bool all);
/* Wait until nothing is under way.  The lock is let go meanwhile. */
void	ahci_port_wait(struct ahci_port *p);

/* ahci_data.c */

/* Take a command's memory; NULL: there is none. */
struct ahci_cmd *ahci_cmd_get(struct ahci_port *p);
void	ahci_cmd_put(struct ahci_cmd *c);
void	ahci_cmds_free(struct ahci *h);
/* Data of a command that the device has, to guest memory or from it.  Results. */
int	ahci_put(struct ahci_cmd *c, const void *buf, size_t len);
int	ahci_get(struct ahci_cmd *c, void *buf, size_t len);
/* Begin to move c->left bytes between the image at c->off and guest memory, and flush if c->sync.  A result. */
int	ahci_transfer(struct ahci_cmd *c, bool write);
/* The same for the c->nranges ranges of c->range, which are discarded. */
int	ahci_discard(struct ahci_cmd *c);
int	ahci_flush(struct ahci_cmd *c);

/* ata.c, ata_disk.c, ata_identify.c, atapi.c: execute a command; a result. */

struct ata_command {
	uint8_t		 command;
	uint8_t		 flags;		/* of the file that has the table */
	int		(*execute)(struct ahci_cmd *c, unsigned flags);
};

/* Any command of the device at the port. */
int	ata_execute(struct ahci_cmd *c);
/* Look a command up; NULL. */
const struct ata_command *ata_disk_command(uint8_t command);
const struct ata_command *atapi_command(uint8_t command);
int	ata_identify(struct ahci_cmd *c, unsigned flags);
int	ata_identify_packet(struct ahci_cmd *c, unsigned flags);
int	ata_read_log(struct ahci_cmd *c, unsigned flags);
int	ata_smart(struct ahci_cmd *c, unsigned flags);
/* The device's state after any reset, and after one that is not by software. */
void	ata_reset(struct ahci_port *p, bool hard);
/* What identifies a device (ACS 6, table of signatures), in the registers of a FIS. */
void	ata_signature(const struct ahci_port *p, struct ata_regs *r);
void	atapi_reset(struct ahci_port *p);
/* The image of the medium could not be read. */
void	atapi_failed(struct ahci_port *p);

/* Logical sectors of a disk. */
static inline uint64_t
ata_sectors(const struct ahci_port *p)
{
	return (block_size(p->image) >> p->lbashift);
}

/* The last byte of a block makes the sum of all 0 (ACS 7.12.7, 9.1). */
static inline void
ata_checksum(uint8_t block[AHCI_SECTOR])
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < AHCI_SECTOR - 1; i++)
		sum = (uint8_t)(sum + block[i]);
	block[AHCI_SECTOR - 1] = (uint8_t)-sum;
}

#endif /* _HYVE_AHCI_H_ */
